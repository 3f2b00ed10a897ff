-- The queue by project, so that the next task is found without looking at all that wait.

CREATE INDEX tasks_queue ON tasks ((coalesce(owner, '')), due_at) WHERE status IN ('pending', 'processing');
