INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at, image_created_at)
SELECT $1, given.member, given.can_share, given.status::member_status, given.created_at, given.updated_at, $7
FROM unnest($2::text[], $3::boolean[], $4::text[], $5::timestamptz[], $6::timestamptz[]) WITH ORDINALITY
  AS given (member, can_share, status, created_at, updated_at, place)
ORDER BY given.place
ON CONFLICT ON CONSTRAINT image_members_pkey DO UPDATE
SET can_share = excluded.can_share, status = excluded.status, updated_at = excluded.updated_at
WHERE (image_members.can_share, image_members.status) IS DISTINCT FROM (excluded.can_share, excluded.status)
