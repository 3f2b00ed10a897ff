SELECT least(coalesce(sum(blobs.size), 0), 9223372036854775807)::bigint AS used
FROM images JOIN blobs ON blobs.image_id = images.id
WHERE images.owner = $1 AND blobs.id IS DISTINCT FROM $2 AND blobs.state IN ('writing', 'staged')
  AND (images.status IN ('uploading', 'importing') OR images.importing_to <> '{}')
