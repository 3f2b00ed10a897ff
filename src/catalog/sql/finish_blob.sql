UPDATE blobs
SET state = 'live', size = $2, etag = $3, digests = $4, upload_id = NULL, due_at = NULL
WHERE id = $1 AND state = 'writing'
