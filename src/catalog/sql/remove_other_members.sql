DELETE FROM image_members
WHERE image_id = $1 AND member <> ALL ($2) AND ($3::text IS NULL OR member = $3)
