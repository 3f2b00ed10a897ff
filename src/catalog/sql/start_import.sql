UPDATE images
SET status = CASE WHEN status = 'active' THEN status ELSE 'importing' END, importing_to = $3, failed_import = '{}',
  properties = properties || $5, updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1
  AND (status = $2::text::image_status
    -- what a task left behind that is given up
    OR status = 'importing' AND $4
      AND $2::text = CASE WHEN EXISTS (SELECT 1 FROM blobs WHERE image_id = $1 AND state = 'staged')
        THEN 'uploading' ELSE 'queued' END)
  -- all of the data, not some of them
  AND ($2::text <> 'uploading' OR EXISTS (SELECT 1 FROM blobs WHERE image_id = $1 AND state = 'staged'))
