UPDATE image_locations SET metadata = $3 WHERE id = $1 AND image_id = $2
