UPDATE images
SET status = 'pending_delete', deleted_at = statement_timestamp(), updated_at = statement_timestamp(),
  revision = revision + 1, importing_to = CASE WHEN importing_to IS NULL THEN NULL ELSE ARRAY[]::text[] END
WHERE id = $1
