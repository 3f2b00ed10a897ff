UPDATE images
SET checksum = $2, os_hash_algo = $3, os_hash_value = $4, updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1 AND status IN ('active', 'deactivated') AND os_hash_value IS NULL
  AND EXISTS (SELECT 1 FROM image_locations WHERE image_locations.id = $5 AND image_locations.image_id = images.id)
