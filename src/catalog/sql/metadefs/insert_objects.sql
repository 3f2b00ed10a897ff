INSERT INTO metadef_objects (namespace_id, name, description, required, properties, created_at, updated_at)
SELECT $1, new.name, new.description, new.required, new.properties, statement_timestamp(), statement_timestamp()
FROM unnest($2::text[], $3::text[], $4::jsonb[], $5::jsonb[]) WITH ORDINALITY
  AS new (name, description, required, properties, place)
ORDER BY new.place
