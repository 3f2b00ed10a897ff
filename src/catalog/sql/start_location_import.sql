UPDATE images
SET status = 'importing', updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1 AND status = 'queued'
