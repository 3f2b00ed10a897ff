-- Imports: what became of each store, and which objects belong to which task.
--
-- Nothing is removed that the previous release uses, so it runs on this schema. Requests wait meanwhile, for one pass
-- over images, objects and tasks: the first statement takes the strongest lock, as taken later it could be a deadlock.

ALTER TABLE images
  -- os_glance_importing_to_stores and os_glance_failed_import of the last import; null where there was none.
  ADD COLUMN importing_to text[] COLLATE "C",
  ADD COLUMN failed_import text[] COLLATE "C";

ALTER TABLE blobs
  -- The task that made the object; what it made goes when it fails.
  ADD COLUMN task_id uuid,
  -- What content inspection saw of a staged object, to be judged when it becomes the data of an image.
  ADD COLUMN findings jsonb,
  -- What the image takes over from the one elsewhere that a staged object is a copy of, as it becomes active.
  ADD COLUMN inherited jsonb;
CREATE INDEX blobs_of_task ON blobs (task_id) WHERE task_id IS NOT NULL AND state IN ('writing', 'staged', 'live');

-- What a task needs to know that nobody may read, until it ends.
ALTER TABLE tasks ADD COLUMN secret text,
  -- Attempts that failed, and attempts whose runner died; `attempt` counts all and is their fence.
  ADD COLUMN failures integer NOT NULL DEFAULT 0,
  ADD COLUMN losses integer NOT NULL DEFAULT 0;
CREATE INDEX tasks_list ON tasks (created_at, id);
CREATE INDEX tasks_of_owner ON tasks (owner, created_at, id);

-- Images that data flow into, copies of active ones among them.
CREATE INDEX images_in_progress ON images (owner)
  WHERE status IN ('saving', 'uploading', 'importing') OR importing_to <> '{}';
