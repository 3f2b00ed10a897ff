INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at)
SELECT $1, given.member, coalesce(given.can_share, false), 'pending', statement_timestamp(), statement_timestamp()
FROM unnest($2::text[], $3::boolean[]) WITH ORDINALITY AS given (member, can_share, place)
ORDER BY given.place
ON CONFLICT ON CONSTRAINT image_members_pkey DO NOTHING
