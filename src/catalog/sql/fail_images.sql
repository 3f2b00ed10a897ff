UPDATE images
SET status = failed.on_failure, updated_at = statement_timestamp(), revision = revision + 1,
  -- of staged data; what a client of v1 announced stays
  size = CASE WHEN images.status = 'uploading' THEN NULL ELSE images.size END
FROM blobs AS failed
WHERE failed.id = ANY ($1) AND images.id = failed.image_id AND images.status IN ('saving', 'uploading')
