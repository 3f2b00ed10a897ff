DELETE FROM tasks
WHERE id = ANY (ARRAY(
  SELECT over.id FROM tasks AS over
  WHERE over.status IN ('success', 'failure') AND over.expires_at <= statement_timestamp()
  ORDER BY over.expires_at
  LIMIT $1
  FOR UPDATE SKIP LOCKED))
