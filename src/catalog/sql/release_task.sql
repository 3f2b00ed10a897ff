UPDATE tasks
SET status = 'pending', due_at = statement_timestamp() + make_interval(secs => $3),
  attempt = CASE WHEN $4 THEN attempt ELSE attempt - 1 END, updated_at = statement_timestamp()
WHERE id = $1 AND attempt = $2 AND status = 'processing'
