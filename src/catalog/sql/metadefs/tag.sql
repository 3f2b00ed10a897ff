FROM metadef_tags
WHERE metadef_tags.namespace_id = $1 AND metadef_tags.name = $2
