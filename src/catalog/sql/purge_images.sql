WITH gone AS (
  DELETE FROM images
  WHERE id = ANY (ARRAY(
    SELECT old.id FROM images AS old
    WHERE old.status = 'deleted' AND old.deleted_at <= statement_timestamp() - make_interval(secs => $1)
    ORDER BY old.deleted_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED))
  RETURNING id)
INSERT INTO purged_images (id) SELECT gone.id FROM gone
