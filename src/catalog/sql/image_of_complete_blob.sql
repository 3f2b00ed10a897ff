FROM images
JOIN blobs ON blobs.image_id = images.id AND blobs.id = $2 AND blobs.state IN ('staged', 'live')
WHERE images.id = $1
