FROM metadef_objects
WHERE metadef_objects.namespace_id = $1
ORDER BY metadef_objects.created_at, metadef_objects.id
