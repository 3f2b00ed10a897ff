SELECT id, kind, status::text AS status, owner, user_id, request_id, image_id, input, result, message, created_at,
  updated_at, expires_at
FROM tasks
WHERE image_id = $1 AND (expires_at IS NULL OR expires_at > statement_timestamp())
  AND ($2 OR owner IS NULL OR owner = $3)
ORDER BY created_at DESC, id
