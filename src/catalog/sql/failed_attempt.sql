SELECT 1 FROM tasks WHERE id = $1 AND attempt = $2 AND status = 'failure'
