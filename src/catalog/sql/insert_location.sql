INSERT INTO image_locations (id, image_id, url, metadata) VALUES ($1, $2, $3, $4)
