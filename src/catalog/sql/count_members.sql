SELECT count(*) FROM image_members WHERE image_id = $1
