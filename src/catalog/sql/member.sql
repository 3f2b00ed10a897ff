FROM image_members
WHERE image_id = $1 AND member = $2
