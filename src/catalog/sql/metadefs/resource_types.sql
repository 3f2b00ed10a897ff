SELECT name, created_at, updated_at FROM metadef_resource_types ORDER BY created_at, id
