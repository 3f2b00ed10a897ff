WITH stuck AS (
  UPDATE images
  SET status = 'queued', size = NULL, virtual_size = NULL, importing_to = '{}', updated_at = statement_timestamp(),
    revision = revision + 1
  WHERE id = ANY (ARRAY(
    SELECT idle.id FROM images AS idle
    WHERE idle.status = 'importing' AND NOT EXISTS (
      SELECT 1 FROM tasks WHERE tasks.image_id = idle.id AND tasks.status IN ('pending', 'processing'))
    LIMIT $1
    FOR UPDATE SKIP LOCKED))
  RETURNING id),
discarded AS (
  UPDATE blobs
  SET state = 'garbage', abandoned = abandoned OR state = 'writing', due_at = statement_timestamp(),
    garbage_at = statement_timestamp()
  FROM stuck
  WHERE blobs.image_id = stuck.id AND blobs.state IN ('writing', 'staged', 'live'))
SELECT count(*) AS stuck FROM stuck
