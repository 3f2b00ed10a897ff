UPDATE blobs
SET state = 'garbage', abandoned = abandoned OR state = 'writing', due_at = statement_timestamp(),
  garbage_at = statement_timestamp()
WHERE image_id = $1 AND (state = 'staged' OR state = 'writing' AND (task_id = $2 OR $3)
  OR state = 'live' AND task_id = $2 AND ($3 OR $4 AND EXISTS (
    -- never the last data of an image
    SELECT 1 FROM blobs AS others
    WHERE others.image_id = $1 AND others.state = 'live' AND others.task_id IS DISTINCT FROM $2)))
