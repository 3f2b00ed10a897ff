UPDATE blobs
SET state = 'garbage', due_at = statement_timestamp(), garbage_at = statement_timestamp()
WHERE id = $1 AND image_id = $2 AND state = 'live'
