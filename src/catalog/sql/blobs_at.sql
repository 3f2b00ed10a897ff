FROM blobs
WHERE store = ANY ($1) AND key = $2
ORDER BY store
