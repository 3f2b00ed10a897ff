INSERT INTO metadef_properties (namespace_id, name, schema, created_at)
SELECT $1, new.name, new.schema, statement_timestamp()
FROM unnest($2::text[], $3::jsonb[]) WITH ORDINALITY AS new (name, schema, place)
ORDER BY new.place
ON CONFLICT ON CONSTRAINT metadef_properties_name DO UPDATE
SET schema = excluded.schema, updated_at = statement_timestamp()
WHERE $4::boolean AND metadef_properties.schema <> excluded.schema
