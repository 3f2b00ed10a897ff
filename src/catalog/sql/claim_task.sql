UPDATE tasks
SET status = 'processing', attempt = attempt + 1, due_at = statement_timestamp() + make_interval(secs => $1),
  updated_at = statement_timestamp()
WHERE id = (
  SELECT due.id FROM tasks AS due
  WHERE due.status IN ('pending', 'processing') AND due.due_at <= statement_timestamp()
  ORDER BY due.due_at
  LIMIT 1
  FOR UPDATE SKIP LOCKED)
RETURNING id, kind, owner, user_id, request_id, image_id, input, message, attempt, created_at
