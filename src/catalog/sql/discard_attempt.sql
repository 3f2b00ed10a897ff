UPDATE blobs
SET state = 'garbage', abandoned = true, due_at = statement_timestamp(), garbage_at = statement_timestamp()
WHERE task_id = $1 AND state = 'writing'
