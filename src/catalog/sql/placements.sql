SELECT placed.id, placed.image_id, placed.store, placed.key, placed.url, placed.metadata
FROM (
  SELECT blobs.id, blobs.image_id, blobs.store, blobs.key, NULL::text AS url, blobs.metadata, 0 AS rank,
    blobs.created_at, 0::bigint AS seq
  FROM blobs
  WHERE blobs.image_id = ANY ($1) AND blobs.state = 'live'
  UNION ALL
  SELECT image_locations.id, image_locations.image_id, NULL, NULL, image_locations.url, image_locations.metadata, 1,
    NULL, image_locations.seq
  FROM image_locations
  WHERE image_locations.image_id = ANY ($1)) AS placed
ORDER BY placed.rank, placed.created_at, placed.seq, placed.id
