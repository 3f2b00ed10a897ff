WITH busy AS (
  SELECT coalesce(owner, '') AS owner, count(*) AS tasks FROM tasks
  WHERE status = 'processing' AND due_at > statement_timestamp()
  GROUP BY coalesce(owner, ''))
UPDATE tasks
SET losses = losses + CASE WHEN status = 'processing' THEN 1 ELSE 0 END, status = 'processing', attempt = attempt + 1,
  due_at = statement_timestamp() + make_interval(secs => $1),
  updated_at = statement_timestamp()
WHERE id = (
  SELECT due.id
  FROM tasks AS due LEFT JOIN busy ON busy.owner = coalesce(due.owner, '')
  WHERE due.status IN ('pending', 'processing') AND due.due_at <= statement_timestamp()
    AND NOT coalesce(due.owner, '') = ANY ($2)
  ORDER BY coalesce(busy.tasks, 0), due.due_at
  LIMIT 1
  FOR UPDATE OF due SKIP LOCKED)
RETURNING id, kind, owner, user_id, request_id, image_id, input, secret, message, attempt, failures, losses, created_at
