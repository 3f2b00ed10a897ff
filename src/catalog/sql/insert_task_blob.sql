INSERT INTO blobs (id, image_id, owner, store, key, state, size, on_failure, task_id, due_at, created_at)
SELECT $1::uuid, images.id, images.owner, $3::text, $4::text, 'writing', $5::bigint, 'queued', $6::uuid,
  statement_timestamp() + make_interval(secs => $7), statement_timestamp()
FROM images WHERE images.id = $2 FOR SHARE
ON CONFLICT ON CONSTRAINT blobs_pkey DO NOTHING
