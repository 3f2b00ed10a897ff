SELECT id FROM images
WHERE status = 'pending_delete' AND deleted_at <= statement_timestamp() - make_interval(secs => $1)
ORDER BY deleted_at
LIMIT $2
FOR UPDATE SKIP LOCKED
