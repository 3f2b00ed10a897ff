FROM blobs WHERE id = $1 AND state = 'garbage'
