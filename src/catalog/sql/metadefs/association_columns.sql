  types.name, associations.prefix, associations.properties_target, associations.created_at,
  associations.updated_at, associations.namespace_id
