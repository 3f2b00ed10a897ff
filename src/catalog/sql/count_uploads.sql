SELECT count(*) FROM images WHERE owner = $1 AND status IN ('saving', 'uploading', 'importing')
