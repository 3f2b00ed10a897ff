INSERT INTO blobs (id, image_id, owner, store, key, state, size, on_failure, due_at, created_at)
VALUES ($1, $2, $3, $4, $5, 'writing', $6, $7::text::image_status,
  statement_timestamp() + make_interval(secs => $8), statement_timestamp())
