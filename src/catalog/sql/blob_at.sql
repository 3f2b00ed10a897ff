FROM blobs
WHERE store = $1 AND key = $2
