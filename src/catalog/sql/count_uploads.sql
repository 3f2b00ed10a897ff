SELECT count(*) FROM images
WHERE owner = $1 AND (status IN ('saving', 'uploading', 'importing') OR importing_to <> '{}') AND NOT deleted
  -- an import that waits for its turn moves nothing yet
  AND NOT (status IN ('importing', 'active', 'deactivated') AND EXISTS (
    SELECT 1 FROM tasks WHERE tasks.image_id = images.id AND tasks.status = 'pending' AND tasks.attempt = 0))
