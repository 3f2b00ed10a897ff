SELECT images.id, images.deleted, images.created_at, images.updated_at FROM images WHERE images.id = ANY ($1)
UNION ALL
SELECT purged_images.id, true, NULL, NULL FROM purged_images WHERE purged_images.id = ANY ($1)
