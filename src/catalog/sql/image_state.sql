SELECT owner, status::text AS status FROM images WHERE id = $1
