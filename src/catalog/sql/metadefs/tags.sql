FROM metadef_tags
WHERE metadef_tags.namespace_id = $1
ORDER BY metadef_tags.created_at, metadef_tags.id
