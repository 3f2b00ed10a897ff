UPDATE metadef_objects
SET name = $3, description = $4, required = $5, properties = $6, updated_at = statement_timestamp()
WHERE namespace_id = $1 AND name = $2
