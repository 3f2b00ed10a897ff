  tasks.id, tasks.kind, tasks.status::text AS status, tasks.owner, tasks.user_id, tasks.request_id, tasks.image_id,
  tasks.input, tasks.result, tasks.message, tasks.progress, tasks.created_at, tasks.updated_at, tasks.expires_at
