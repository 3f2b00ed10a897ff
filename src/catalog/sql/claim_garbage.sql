UPDATE blobs
SET due_at = statement_timestamp() + make_interval(secs => $2)
WHERE id = ANY (ARRAY(
  SELECT due.id FROM blobs AS due
  WHERE due.state IN ('garbage', 'deleted') AND due.due_at <= statement_timestamp()
  ORDER BY due.due_at
  LIMIT $1
  FOR UPDATE SKIP LOCKED))
