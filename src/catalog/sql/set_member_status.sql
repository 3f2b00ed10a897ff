UPDATE image_members
SET status = $3::text::member_status, updated_at = statement_timestamp()
FROM images
WHERE image_members.image_id = $1 AND image_members.member = $2 AND images.id = $1
  AND images.visibility = 'shared' AND NOT images.deleted
