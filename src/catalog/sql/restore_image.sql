UPDATE images
SET status = 'active', deleted_at = NULL, updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1 AND status = 'pending_delete'
