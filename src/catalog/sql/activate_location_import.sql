UPDATE images
SET status = 'active', size = $2, virtual_size = NULL, checksum = $3, os_hash_algo = $4, os_hash_value = $5,
  updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1 AND status = 'importing'
