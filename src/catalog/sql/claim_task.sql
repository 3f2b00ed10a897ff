-- from project to project by the index, however many tasks each has
WITH RECURSIVE waiting AS (
  (
    SELECT coalesce(owner, '') AS owner FROM tasks
    WHERE status IN ('pending', 'processing')
    ORDER BY coalesce(owner, '')
    LIMIT 1)
  UNION ALL
  SELECT (
    SELECT coalesce(next.owner, '') FROM tasks AS next
    WHERE next.status IN ('pending', 'processing') AND coalesce(next.owner, '') > waiting.owner
    ORDER BY coalesce(next.owner, '')
    LIMIT 1)
  FROM waiting WHERE waiting.owner IS NOT NULL),
busy AS (
  SELECT coalesce(owner, '') AS owner, count(*) AS tasks FROM tasks
  WHERE status = 'processing' AND due_at > statement_timestamp()
  GROUP BY coalesce(owner, '')),
turns AS MATERIALIZED (
  SELECT waiting.owner
  FROM waiting
  CROSS JOIN LATERAL (
    SELECT oldest.due_at FROM tasks AS oldest
    WHERE oldest.status IN ('pending', 'processing') AND coalesce(oldest.owner, '') = waiting.owner
      AND oldest.due_at <= statement_timestamp()
    ORDER BY oldest.due_at
    LIMIT 1) AS first
  LEFT JOIN busy ON busy.owner = waiting.owner
  WHERE NOT waiting.owner = ANY ($2)
  ORDER BY coalesce(busy.tasks, 0), first.due_at)
UPDATE tasks
SET losses = losses + CASE WHEN status = 'processing' THEN 1 ELSE 0 END, status = 'processing', attempt = attempt + 1,
  due_at = statement_timestamp() + make_interval(secs => $1),
  updated_at = statement_timestamp()
WHERE id = (
  SELECT due.id
  FROM turns
  CROSS JOIN LATERAL (
    SELECT mine.id FROM tasks AS mine
    WHERE mine.status IN ('pending', 'processing') AND coalesce(mine.owner, '') = turns.owner
      AND mine.due_at <= statement_timestamp()
    ORDER BY mine.due_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED) AS due
  LIMIT 1)
RETURNING id, kind, owner, user_id, request_id, image_id, input, secret, message, attempt, failures, losses, created_at
