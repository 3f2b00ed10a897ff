SELECT updated_at < statement_timestamp()
  - make_interval(secs => CASE WHEN status = 'pending' THEN $2::float8 ELSE $3::float8 END) AS expired
FROM tasks
WHERE image_id = $1 AND status IN ('pending', 'processing')
