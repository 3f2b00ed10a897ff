SELECT id, image_id FROM blobs
WHERE state IN ('writing', 'staged') AND due_at <= statement_timestamp()
ORDER BY due_at
LIMIT $1
