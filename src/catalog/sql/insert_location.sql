INSERT INTO image_locations (id, image_id, url) VALUES ($1, $2, $3)
