UPDATE images
SET owner = $2, name = $3, status = $4::text::image_status, visibility = $5::text::image_visibility, os_hidden = $6,
  protected = $7, disk_format = $8, container_format = $9, min_disk = $10, min_ram = $11, size = $12,
  virtual_size = $13, checksum = $14, os_hash_algo = $15, os_hash_value = $16, tags = $17, properties = $18,
  created_at = $19, updated_at = $20, deleted_at = $21, importing_to = $22, failed_import = $23,
  revision = revision + 1
WHERE id = $1 AND revision = $24
