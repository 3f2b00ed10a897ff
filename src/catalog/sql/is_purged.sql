SELECT 1 FROM purged_images WHERE id = $1
