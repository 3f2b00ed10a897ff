FROM metadef_properties
WHERE metadef_properties.namespace_id = $1 AND metadef_properties.name = $2
