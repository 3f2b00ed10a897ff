UPDATE images
SET status = 'deleted', deleted_at = coalesce(deleted_at, statement_timestamp()), updated_at = statement_timestamp(),
  revision = revision + 1, tags = '{}', properties = '{}', importing_to = NULL, failed_import = NULL
WHERE id = ANY ($1)
