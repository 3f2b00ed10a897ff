INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at, image_created_at)
SELECT images.id, $2, $3, 'pending', statement_timestamp(), statement_timestamp(), images.created_at
FROM images
WHERE images.id = $1
ON CONFLICT ON CONSTRAINT image_members_pkey DO UPDATE
SET can_share = $4, updated_at = statement_timestamp()
WHERE $4::boolean IS NOT NULL
