INSERT INTO adoptions (image_id, revision, members)
SELECT id, revision, members_digest(id) FROM images WHERE id = $1 AND NOT deleted
ON CONFLICT ON CONSTRAINT adoptions_pkey DO UPDATE SET revision = excluded.revision, members = excluded.members
