SELECT EXISTS (SELECT 1 FROM blobs WHERE image_id = $1 AND state = 'live')
    OR EXISTS (SELECT 1 FROM image_locations WHERE image_id = $1) AS has_data
