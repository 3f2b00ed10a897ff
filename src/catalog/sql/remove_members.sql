DELETE FROM image_members WHERE image_id = ANY ($1)
