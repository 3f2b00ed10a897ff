UPDATE images
SET importing_to = array_remove(importing_to, $2), updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1
