UPDATE events
SET due_at = statement_timestamp(), attempts = attempts - 1
WHERE id = $1 AND attempts = $2
