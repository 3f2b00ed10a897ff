SELECT garbage.rows AS garbage, garbage.age AS garbage_age, writing.rows AS writing_expired,
  open.pending AS pending, open.processing AS processing, open.overdue AS overdue
FROM (
  SELECT count(*) AS rows,
    coalesce(extract(epoch FROM statement_timestamp() - min(garbage_at)), 0)::float8 AS age
  FROM blobs WHERE state = 'garbage') AS garbage,
(
  SELECT count(*) AS rows FROM blobs
  WHERE state = 'writing' AND due_at <= statement_timestamp()) AS writing,
(
  SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
    count(*) FILTER (WHERE status = 'processing') AS processing,
    greatest(coalesce(extract(epoch FROM statement_timestamp() - min(due_at)), 0), 0)::float8 AS overdue
  FROM tasks WHERE status IN ('pending', 'processing')) AS open
