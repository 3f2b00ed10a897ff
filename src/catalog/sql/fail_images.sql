UPDATE images
SET status = failed.on_failure, updated_at = statement_timestamp(), revision = revision + 1
FROM blobs AS failed
WHERE failed.id = ANY ($1) AND images.id = failed.image_id AND images.status IN ('saving', 'uploading')
