FROM blobs
WHERE store = $1 AND key > $2
ORDER BY key
LIMIT $3
