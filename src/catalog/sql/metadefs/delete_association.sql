DELETE FROM metadef_namespace_resource_types AS associations
USING metadef_resource_types AS types
WHERE types.id = associations.resource_type_id AND associations.namespace_id = $1 AND types.name = $2
