SELECT id FROM images WHERE id = $1 AND status = 'pending_delete' FOR UPDATE
