SELECT status::text AS status FROM images WHERE id = $1 FOR UPDATE
