INSERT INTO blobs (id, image_id, owner, store, key, state, size, on_failure, task_id, due_at, created_at)
VALUES ($1, $2, $3, $4, $5, 'writing', $6, 'queued', $7,
  statement_timestamp() + make_interval(secs => $8), statement_timestamp())
ON CONFLICT ON CONSTRAINT blobs_pkey DO NOTHING
