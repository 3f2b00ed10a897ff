UPDATE blobs
SET state = 'garbage', abandoned = abandoned OR state = 'writing', due_at = statement_timestamp(),
  garbage_at = statement_timestamp()
FROM images
WHERE images.id = $1 AND images.status = 'importing' AND blobs.image_id = images.id
  AND (blobs.state IN ('writing', 'live') OR blobs.state = 'staged' AND blobs.task_id IS NOT NULL)
