UPDATE blobs SET due_at = statement_timestamp() + make_interval(secs => $2) WHERE id = $1 AND state = 'writing'
