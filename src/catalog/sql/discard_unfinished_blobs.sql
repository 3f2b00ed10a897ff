UPDATE blobs
SET state = 'garbage', abandoned = abandoned OR state = 'writing', due_at = statement_timestamp(),
  garbage_at = statement_timestamp()
WHERE image_id = $1 AND state IN ('writing', 'staged')
