INSERT INTO metadef_objects (namespace_id, name, description, required, properties, created_at)
SELECT $1, new.name, new.description, new.required, new.properties, statement_timestamp()
FROM unnest($2::text[], $3::text[], $4::jsonb[], $5::jsonb[]) WITH ORDINALITY
  AS new (name, description, required, properties, place)
ORDER BY new.place
ON CONFLICT ON CONSTRAINT metadef_objects_name DO UPDATE
SET description = excluded.description, required = excluded.required, properties = excluded.properties,
  updated_at = statement_timestamp()
WHERE $6::boolean AND (metadef_objects.description, metadef_objects.required, metadef_objects.properties)
  IS DISTINCT FROM (excluded.description, excluded.required, excluded.properties)
