FROM metadef_properties
WHERE metadef_properties.namespace_id = $1
ORDER BY metadef_properties.created_at, metadef_properties.id
