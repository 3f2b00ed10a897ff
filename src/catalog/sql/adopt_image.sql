INSERT INTO images (id, owner, name, status, visibility, os_hidden, protected, disk_format, container_format,
  min_disk, min_ram, size, virtual_size, checksum, os_hash_algo, os_hash_value, tags, properties,
  created_at, updated_at, deleted_at, importing_to, failed_import)
VALUES ($1, $2, $3, $4::text::image_status, $5::text::image_visibility, $6, $7, $8, $9,
  $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
ON CONFLICT ON CONSTRAINT images_pkey DO NOTHING
