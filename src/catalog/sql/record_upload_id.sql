UPDATE blobs SET upload_id = $2 WHERE id = $1 AND state = 'writing'
