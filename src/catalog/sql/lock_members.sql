SELECT 1 FROM image_members WHERE image_id = $1 FOR UPDATE
