FROM tasks
WHERE image_id = $1 AND (expires_at IS NULL OR expires_at > statement_timestamp())
  AND ($2 OR owner IS NULL OR owner = $3)
ORDER BY created_at DESC, id
LIMIT 500
