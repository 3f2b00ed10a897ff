INSERT INTO metadef_resource_types (name, protected, created_at, updated_at)
SELECT DISTINCT new.name COLLATE "C", $2::boolean, statement_timestamp(), CASE WHEN NOT $2::boolean THEN statement_timestamp() END
FROM unnest($1::text[]) AS new (name)
ORDER BY 1
ON CONFLICT ON CONSTRAINT metadef_resource_types_name DO NOTHING
