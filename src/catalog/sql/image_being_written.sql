FROM images
JOIN blobs ON blobs.image_id = images.id AND blobs.id = $2 AND blobs.state = 'writing'
WHERE images.id = $1 AND images.status IN ('saving', 'uploading')
