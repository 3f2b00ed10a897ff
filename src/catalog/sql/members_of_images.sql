FROM image_members
WHERE image_id = ANY ($1)
ORDER BY image_id, seq
