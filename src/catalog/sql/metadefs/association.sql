FROM metadef_namespace_resource_types AS associations
JOIN metadef_resource_types AS types ON types.id = associations.resource_type_id
WHERE associations.namespace_id = $1 AND types.name = $2
