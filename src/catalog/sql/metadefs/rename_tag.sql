UPDATE metadef_tags
SET name = $3, updated_at = statement_timestamp()
WHERE namespace_id = $1 AND name = $2
