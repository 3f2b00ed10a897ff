, blobs.digests, blobs.findings, blobs.inherited, blobs.task_id
FROM blobs
WHERE image_id = $1 AND state IN ('staged', 'live')
ORDER BY created_at, id
