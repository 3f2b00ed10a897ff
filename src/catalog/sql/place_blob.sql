UPDATE blobs
SET state = 'live', size = $2, etag = $3, digests = $4, task_id = $5, upload_id = NULL, due_at = NULL
WHERE id = $1 AND state IN ('writing', 'staged')
