DELETE FROM metadef_objects WHERE namespace_id = $1
