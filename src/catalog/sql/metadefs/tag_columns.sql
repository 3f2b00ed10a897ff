  metadef_tags.id, metadef_tags.name, metadef_tags.created_at, metadef_tags.updated_at
