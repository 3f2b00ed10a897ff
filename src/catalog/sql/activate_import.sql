UPDATE images
SET status = 'active', size = $2, checksum = $3, os_hash_algo = $4, os_hash_value = $5, virtual_size = $6,
  disk_format = coalesce($7, disk_format), container_format = coalesce($8, container_format),
  properties = properties || $9,
  updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1 AND status = 'importing'
  AND disk_format IS NOT DISTINCT FROM $10 AND container_format IS NOT DISTINCT FROM $11
