SELECT id, url, metadata FROM image_locations WHERE image_id = $1 ORDER BY seq
