UPDATE metadef_properties
SET name = $3, schema = $4, updated_at = statement_timestamp()
WHERE namespace_id = $1 AND name = $2
