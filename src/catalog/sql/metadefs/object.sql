FROM metadef_objects
WHERE metadef_objects.namespace_id = $1 AND metadef_objects.name = $2
