UPDATE blobs SET owner = $2 WHERE image_id = $1 AND state <> 'deleted' AND owner IS DISTINCT FROM $2
