FROM image_members
WHERE image_id = $1
ORDER BY seq
