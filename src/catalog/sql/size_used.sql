SELECT least(
    coalesce((SELECT sum(blobs.size) FROM images JOIN blobs ON blobs.image_id = images.id
              WHERE images.owner = $1 AND NOT images.deleted AND blobs.id IS DISTINCT FROM $2
                AND (blobs.state = 'live'
                  OR blobs.state = 'writing' AND images.status NOT IN ('uploading', 'importing'))), 0)
  + coalesce((SELECT sum(images.size) FROM images JOIN image_locations ON image_locations.image_id = images.id
              WHERE images.owner = $1 AND NOT images.deleted), 0)
  , 9223372036854775807)::bigint AS used
