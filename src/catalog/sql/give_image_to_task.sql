UPDATE tasks SET image_id = $3 WHERE id = $1 AND attempt = $2 AND status = 'processing' AND image_id IS NULL
