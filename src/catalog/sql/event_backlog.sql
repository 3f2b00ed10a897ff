SELECT sink, count(*) AS pending,
  greatest(extract(epoch FROM statement_timestamp() - min(created_at)), 0)::float8 AS oldest
FROM events
GROUP BY sink
