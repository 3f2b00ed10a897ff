INSERT INTO blobs (id, image_id, owner, store, key, state, size, etag, digests, metadata, on_failure, created_at)
VALUES ($1, $2, $3, $4, $5, 'live', $6, $7, $8, $9, 'queued', $10)
ON CONFLICT ON CONSTRAINT blobs_key DO NOTHING
