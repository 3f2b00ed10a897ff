FROM blobs
WHERE image_id = $1 AND state = 'live'
ORDER BY created_at, id
