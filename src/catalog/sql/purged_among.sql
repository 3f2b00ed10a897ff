SELECT id FROM purged_images WHERE id = ANY ($1)
