UPDATE blobs
SET state = 'garbage', size = $2, due_at = statement_timestamp(),
  garbage_at = statement_timestamp()
WHERE id = $1 AND state = 'writing'
