UPDATE tasks
SET status = 'pending', due_at = statement_timestamp() + make_interval(secs => $3),
  failures = failures + CASE WHEN $4 THEN 1 ELSE 0 END, updated_at = statement_timestamp()
WHERE id = $1 AND attempt = $2 AND status = 'processing'
