SELECT image_id, owner, size, state::text AS state FROM blobs WHERE id = $1
