INSERT INTO metadef_tags (namespace_id, name, created_at, updated_at)
SELECT $1, new.name, statement_timestamp(), statement_timestamp()
FROM unnest($2::text[]) WITH ORDINALITY AS new (name, place)
ORDER BY new.place
