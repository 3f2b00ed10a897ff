SELECT images.id
FROM images
JOIN adoptions ON adoptions.image_id = images.id
WHERE images.id = ANY ($1) AND NOT images.deleted AND images.revision = adoptions.revision
  AND members_digest(images.id) = adoptions.members
