DELETE FROM events
WHERE id = ANY (ARRAY(
  SELECT old.id FROM events AS old
  WHERE old.created_at <= statement_timestamp() - make_interval(secs => $1)
  ORDER BY old.created_at, old.id
  LIMIT $2
  FOR UPDATE SKIP LOCKED))
RETURNING message_id, sink, subject, event_type
