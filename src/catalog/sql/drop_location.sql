DELETE FROM image_locations WHERE id = $1 AND image_id = $2
