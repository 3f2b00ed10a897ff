INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at)
VALUES ($1, $2, false, 'pending', statement_timestamp(), statement_timestamp())
