INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at, image_created_at)
SELECT images.id, given.member, coalesce(given.can_share, false), 'pending', statement_timestamp(),
  statement_timestamp(), images.created_at
FROM images
CROSS JOIN unnest($2::text[], $3::boolean[]) WITH ORDINALITY AS given (member, can_share, place)
WHERE images.id = $1
ORDER BY given.place
ON CONFLICT ON CONSTRAINT image_members_pkey DO NOTHING
