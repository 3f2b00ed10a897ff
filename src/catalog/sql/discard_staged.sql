UPDATE blobs
SET state = 'garbage', due_at = statement_timestamp(), garbage_at = statement_timestamp()
WHERE image_id = $1 AND state = 'staged'
