SELECT least(coalesce(sum(blobs.size), 0), 9223372036854775807)::bigint AS used
FROM images JOIN blobs ON blobs.image_id = images.id
WHERE images.owner = $1 AND images.status IN ('uploading', 'importing') AND blobs.state IN ('writing', 'staged')
