WITH kept AS (
  UPDATE blobs
  SET state = 'deleted', abandoned = true, due_at = statement_timestamp() + make_interval(secs => $3)
  WHERE id = $1 AND state = 'garbage' AND (abandoned OR $2)
)
DELETE FROM blobs WHERE id = $1 AND state = 'garbage' AND NOT (abandoned OR $2)
