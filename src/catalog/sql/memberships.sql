FROM image_members
JOIN images ON images.id = image_members.image_id
WHERE image_members.member = $1 AND NOT images.deleted AND ($2::text IS NULL OR images.owner = $2)
ORDER BY image_members.seq
