SELECT id, EXISTS (SELECT FROM adoptions WHERE image_id = purged_images.id) AS adopted
FROM purged_images
WHERE id = ANY ($1)
