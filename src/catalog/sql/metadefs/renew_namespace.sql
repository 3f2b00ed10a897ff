UPDATE metadef_namespaces
SET display_name = $2, description = $3, visibility = $4, protected = $5, owner = $6,
  updated_at = statement_timestamp()
WHERE id = $1
  AND (display_name, description, visibility, protected, owner) IS DISTINCT FROM ($2, $3, $4, $5, $6)
