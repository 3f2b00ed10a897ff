UPDATE blobs SET size = greatest(size, $2) WHERE id = $1 AND state = 'writing'
