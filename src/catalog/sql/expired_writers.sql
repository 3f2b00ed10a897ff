SELECT id, image_id FROM blobs
WHERE due_at <= statement_timestamp()
  AND (state = 'writing'
    -- staged data that an import works on are the import's
    OR state = 'staged' AND NOT EXISTS (
      SELECT 1 FROM images WHERE images.id = blobs.image_id AND (images.status = 'importing' OR images.importing_to <> '{}')))
ORDER BY due_at
LIMIT $1
