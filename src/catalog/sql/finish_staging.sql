UPDATE blobs
SET state = 'staged', size = $2, etag = $3, digests = $4, findings = $5, inherited = $7, upload_id = NULL,
  due_at = statement_timestamp() + make_interval(secs => $6)
WHERE id = $1 AND state = 'writing'
