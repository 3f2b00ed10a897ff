SELECT image_id FROM tasks WHERE id = $1
