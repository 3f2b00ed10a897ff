INSERT INTO metadef_properties (namespace_id, name, schema, created_at, updated_at)
SELECT $1, new.name, new.schema, statement_timestamp(), statement_timestamp()
FROM unnest($2::text[], $3::jsonb[]) WITH ORDINALITY AS new (name, schema, place)
ORDER BY new.place
