SELECT status IN ('active', 'deactivated')
    AND (EXISTS (SELECT 1 FROM blobs WHERE blobs.image_id = images.id AND blobs.state = 'live')
      OR EXISTS (SELECT 1 FROM image_locations WHERE image_locations.image_id = images.id)) AS has_data
FROM images
WHERE id = $1 AND revision = $2 AND NOT deleted
FOR UPDATE
