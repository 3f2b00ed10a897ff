SELECT coalesce(max(blobs.size), 0) FROM blobs WHERE image_id = $1 AND state IN ('staged', 'live')
