INSERT INTO metadef_namespaces (namespace, display_name, description, visibility, protected, owner,
  created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, statement_timestamp(), statement_timestamp())
