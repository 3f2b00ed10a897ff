UPDATE tasks
SET status = 'failure', message = 'Expired lock preempted', attempt = attempt + 1, secret = NULL,
  updated_at = statement_timestamp(), expires_at = statement_timestamp() + make_interval(secs => $4)
WHERE image_id = $1 AND status IN ('pending', 'processing')
  AND updated_at < statement_timestamp()
    - make_interval(secs => CASE WHEN status = 'pending' THEN $2::float8 ELSE $3::float8 END)
