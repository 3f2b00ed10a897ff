UPDATE images
SET status = $2::text::image_status, os_hash_algo = $3, os_hash_value = $4
WHERE id = $1
