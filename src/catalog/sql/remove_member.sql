DELETE FROM image_members
USING images
WHERE image_members.image_id = $1 AND image_members.member = $2 AND images.id = $1
  AND images.visibility = 'shared' AND NOT images.deleted
