SELECT least(
    coalesce((SELECT sum(blobs.size) FROM blobs WHERE blobs.owner = $1 AND blobs.state <> 'deleted'), 0)
  + coalesce((SELECT sum(images.size) FROM image_locations JOIN images ON images.id = image_locations.image_id
              WHERE images.owner = $1 AND NOT images.deleted), 0)
  , 9223372036854775807)::bigint AS used
