  images.id, images.owner, images.name, images.status, images.visibility, images.os_hidden, images.protected,
  images.disk_format, images.container_format, images.min_disk, images.min_ram, images.size, images.virtual_size,
  images.checksum, images.os_hash_algo, images.os_hash_value, images.tags, images.properties, images.created_at,
  images.updated_at, images.deleted_at, images.revision, images.importing_to, images.failed_import
