UPDATE image_members
SET can_share = given.can_share, updated_at = statement_timestamp()
FROM unnest($2::text[], $3::boolean[]) AS given (member, can_share)
WHERE image_members.image_id = $1 AND image_members.member = given.member
  AND image_members.can_share <> given.can_share AND ($4::text IS NULL OR image_members.member = $4)
