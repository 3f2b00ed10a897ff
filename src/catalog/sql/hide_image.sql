UPDATE images
SET status = 'pending_delete', deleted_at = statement_timestamp(), updated_at = statement_timestamp(),
  revision = revision + 1
WHERE id = $1
