  blobs.id, blobs.image_id, blobs.store, blobs.key, blobs.state::text AS state, blobs.size, blobs.etag,
  blobs.upload_id, blobs.abandoned, blobs.created_at
