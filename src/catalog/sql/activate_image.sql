UPDATE images
SET status = 'active', size = $2, checksum = $3, os_hash_algo = $4, os_hash_value = $5,
  virtual_size = coalesce($6, virtual_size),
  updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1 AND status = 'saving'
