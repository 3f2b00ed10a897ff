UPDATE images
SET owner = $3, name = $4, visibility = $5::text::image_visibility, os_hidden = $6, protected = $7,
  disk_format = $8, container_format = $9, min_disk = $10, min_ram = $11, size = $12, virtual_size = $13,
  checksum = $14, tags = $15, properties = $16, updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1 AND revision = $2 AND NOT deleted
