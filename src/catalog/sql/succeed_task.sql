UPDATE tasks
SET status = 'success', result = $3, progress = $5, secret = NULL,
  expires_at = statement_timestamp() + make_interval(secs => $4), updated_at = statement_timestamp()
WHERE id = $1 AND attempt = $2 AND status IN ('processing', 'success')
