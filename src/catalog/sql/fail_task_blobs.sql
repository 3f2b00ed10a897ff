UPDATE blobs SET on_failure = $2::text::image_status
WHERE image_id = $1 AND state = 'writing' AND on_failure = 'queued'
  AND EXISTS (SELECT 1 FROM images WHERE images.id = $1 AND images.status = 'saving')
