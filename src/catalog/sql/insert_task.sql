INSERT INTO tasks (id, kind, status, owner, user_id, request_id, image_id, input, secret, due_at, created_at,
  updated_at)
VALUES ($1, $2, 'pending', $3, $4, $5, $6, $7, $8,
  statement_timestamp(), statement_timestamp(), statement_timestamp())
