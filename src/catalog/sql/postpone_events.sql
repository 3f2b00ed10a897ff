UPDATE events
SET due_at = statement_timestamp() + make_interval(secs => $5)
FROM events AS claimed
WHERE claimed.id = $1 AND claimed.attempts = $2
  AND events.sink = $3 AND events.subject = $4 AND events.id >= claimed.id
