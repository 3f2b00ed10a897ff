UPDATE blobs SET metadata = $3 WHERE id = $1 AND image_id = $2 AND state = 'live'
