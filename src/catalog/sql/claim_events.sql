UPDATE events
SET due_at = statement_timestamp() + make_interval(secs => $3), attempts = attempts + 1
WHERE id = ANY (ARRAY(
  SELECT due.id FROM events AS due
  WHERE due.sink = $1 AND due.due_at <= statement_timestamp()
    AND NOT EXISTS (
      SELECT 1 FROM events AS earlier
      WHERE earlier.sink = due.sink AND earlier.subject = due.subject AND earlier.id < due.id)
  ORDER BY due.due_at, due.id
  LIMIT $2
  FOR UPDATE SKIP LOCKED))
RETURNING id, message_id, sink, subject, event_type, priority, payload, attempts, created_at,
  statement_timestamp() AS claimed_at
