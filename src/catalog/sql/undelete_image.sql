UPDATE images
SET status = $3::text::image_status, deleted_at = NULL, updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1 AND revision = $2 AND status = 'pending_delete'
