DELETE FROM image_locations WHERE image_id = ANY ($1)
