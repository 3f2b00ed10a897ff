SELECT id, image_id FROM tasks WHERE image_id = ANY ($1) AND status IN ('pending', 'processing')
