UPDATE images
SET importing_to = '{}', failed_import = coalesce(failed_import, '{}'), updated_at = statement_timestamp(),
  revision = revision + 1
WHERE id = $1 AND (importing_to <> '{}' OR failed_import IS NULL)
