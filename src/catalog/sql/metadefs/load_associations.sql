INSERT INTO metadef_namespace_resource_types (namespace_id, resource_type_id, prefix, properties_target,
  created_at)
SELECT $1, types.id, new.prefix, new.properties_target, statement_timestamp()
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS new (name, prefix, properties_target, place)
JOIN metadef_resource_types AS types ON types.name = new.name
ORDER BY new.place
ON CONFLICT ON CONSTRAINT metadef_namespace_resource_types_pkey DO UPDATE
SET prefix = excluded.prefix, properties_target = excluded.properties_target, updated_at = statement_timestamp()
WHERE $5::boolean AND (metadef_namespace_resource_types.prefix, metadef_namespace_resource_types.properties_target)
  IS DISTINCT FROM (excluded.prefix, excluded.properties_target)
