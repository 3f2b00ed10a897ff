UPDATE images
SET status = 'queued', size = NULL, virtual_size = NULL, checksum = NULL, os_hash_algo = NULL, os_hash_value = NULL,
  updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1 AND status = 'importing'
  AND NOT EXISTS (
    SELECT 1 FROM tasks WHERE tasks.image_id = images.id AND tasks.status IN ('pending', 'processing'))
