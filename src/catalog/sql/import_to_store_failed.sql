UPDATE images
SET importing_to = array_remove(importing_to, $2),
  failed_import = array_append(array_remove(coalesce(failed_import, '{}'), $2), $2),
  updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1
