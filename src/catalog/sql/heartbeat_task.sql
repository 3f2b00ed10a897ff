UPDATE tasks
SET due_at = statement_timestamp() + make_interval(secs => $3), progress = $4, updated_at = statement_timestamp()
WHERE id = $1 AND attempt = $2 AND status = 'processing'
