UPDATE images
SET status = $2::text::image_status, updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1 AND status = 'queued'
