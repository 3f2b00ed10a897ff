UPDATE blobs
SET state = 'garbage', due_at = statement_timestamp(), garbage_at = statement_timestamp(),
  -- a write that was stopped on its way may still arrive
  abandoned = true
WHERE id = $1 AND state = 'writing'
