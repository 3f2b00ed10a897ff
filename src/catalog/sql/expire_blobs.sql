UPDATE blobs
SET state = 'garbage', abandoned = abandoned OR state = 'writing', due_at = statement_timestamp(),
  garbage_at = statement_timestamp()
WHERE id = ANY ($1) AND due_at <= statement_timestamp()
  AND (state = 'writing'
    OR state = 'staged' AND NOT EXISTS (
      SELECT 1 FROM images WHERE images.id = blobs.image_id AND (images.status = 'importing' OR images.importing_to <> '{}')))
  AND (image_id = ANY ($2) OR NOT EXISTS (SELECT 1 FROM images WHERE images.id = blobs.image_id))
RETURNING id
