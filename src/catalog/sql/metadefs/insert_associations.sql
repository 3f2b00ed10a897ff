INSERT INTO metadef_namespace_resource_types (namespace_id, resource_type_id, prefix, properties_target,
  created_at, updated_at)
SELECT $1, types.id, new.prefix, new.properties_target, statement_timestamp(), statement_timestamp()
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS new (name, prefix, properties_target, place)
JOIN metadef_resource_types AS types ON types.name = new.name
ORDER BY new.place
