SELECT id FROM blobs WHERE image_id = $1 AND store = $2 AND state = 'live'
