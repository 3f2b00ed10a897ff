UPDATE tasks
SET status = 'failure', message = 'The image was deleted.', secret = NULL, updated_at = statement_timestamp(),
  expires_at = statement_timestamp() + make_interval(secs => $2)
WHERE image_id = ANY ($1) AND kind IN ('location_import', 'api_image_import', 'import')
  AND status IN ('pending', 'processing')
