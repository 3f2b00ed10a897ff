FROM tasks
WHERE id = $1 AND (expires_at IS NULL OR expires_at > statement_timestamp()) AND ($2 OR owner = $3)
