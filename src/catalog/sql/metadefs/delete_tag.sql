DELETE FROM metadef_tags WHERE namespace_id = $1 AND name = $2
