DELETE FROM metadef_properties WHERE namespace_id = $1
