UPDATE metadef_namespaces
SET namespace = $2, display_name = $3, description = $4, visibility = $5, protected = $6, owner = $7,
  updated_at = statement_timestamp()
WHERE id = $1
