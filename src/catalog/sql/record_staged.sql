UPDATE images
SET size = $2, updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1
