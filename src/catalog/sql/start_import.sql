UPDATE images
SET status = CASE WHEN status = 'active' THEN status ELSE 'importing' END, importing_to = $3,
  failed_import = ARRAY(
    SELECT failed.store FROM unnest(failed_import) WITH ORDINALITY AS failed (store, place)
    WHERE failed.store <> ALL ($3) ORDER BY failed.place),
  properties = properties || $5, updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1
  AND (status = $2::text::image_status
    -- what a task left behind that is given up
    OR status = 'importing' AND $4
      AND $2::text = CASE WHEN EXISTS (SELECT 1 FROM blobs WHERE image_id = $1 AND state = 'staged')
        THEN 'uploading' ELSE 'queued' END)
  -- both may have been taken away since they were looked at
  AND disk_format IS NOT NULL AND container_format IS NOT NULL
  -- all of the data, not some of them
  AND ($2::text <> 'uploading' OR EXISTS (SELECT 1 FROM blobs WHERE image_id = $1 AND state = 'staged'))
