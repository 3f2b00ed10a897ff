SELECT id FROM metadef_resource_types WHERE name = ANY ($1)
