-- Images, their members and locations, the object ledger, and the task queue.
-- Text is compared and sorted in byte order everywhere.

-- Words in alphabetical order: lists sort by the word, and an enumeration sorts in the order of its definition.
CREATE TYPE image_status AS ENUM ('active', 'deactivated', 'deleted', 'importing', 'killed', 'pending_delete',
  'queued', 'saving', 'uploading');
CREATE TYPE image_visibility AS ENUM ('community', 'private', 'public', 'shared');
CREATE TYPE member_status AS ENUM ('accepted', 'pending', 'rejected');
CREATE TYPE blob_state AS ENUM ('writing', 'staged', 'live', 'garbage', 'deleted');
CREATE TYPE task_status AS ENUM ('pending', 'processing', 'success', 'failure');

CREATE TABLE images (
  id uuid NOT NULL,
  owner text COLLATE "C",
  name text COLLATE "C",
  status image_status NOT NULL,
  visibility image_visibility NOT NULL,
  os_hidden boolean NOT NULL,
  protected boolean NOT NULL,
  disk_format text COLLATE "C",
  container_format text COLLATE "C",
  min_disk integer NOT NULL,
  min_ram integer NOT NULL,
  size bigint,
  virtual_size bigint,
  checksum text COLLATE "C",
  os_hash_algo text COLLATE "C",
  os_hash_value text COLLATE "C",
  tags text[] COLLATE "C" NOT NULL DEFAULT '{}',
  properties jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  -- Leading column of every list index: deleted rows are stepped over at once, and the same index serves the lists
  -- that include them.
  deleted boolean NOT NULL GENERATED ALWAYS AS (deleted_at IS NOT NULL) STORED,
  revision bigint NOT NULL DEFAULT 1,
  CONSTRAINT images_pkey PRIMARY KEY (id),
  CONSTRAINT images_deleted_has_time CHECK ((status IN ('deleted', 'pending_delete')) = (deleted_at IS NOT NULL))
);

-- One project's images; other sort keys sort that set, which is small.
CREATE INDEX images_owner ON images (owner, deleted, created_at, id);
-- Everybody's images of one visibility, by each sort key: public ones for all callers, the rest for administrators.
CREATE INDEX images_by_created ON images (deleted, visibility, created_at, id);
CREATE INDEX images_by_updated ON images (deleted, visibility, updated_at, created_at, id);
CREATE INDEX images_by_name ON images (deleted, visibility, (coalesce(name, '')), created_at, id);
CREATE INDEX images_by_size ON images (deleted, visibility, (coalesce(size, 0)), created_at, id);
CREATE INDEX images_by_status ON images (deleted, visibility, status, created_at, id);
CREATE INDEX images_by_disk_format ON images (deleted, visibility, (coalesce(disk_format, '')), created_at, id);
CREATE INDEX images_by_container_format
  ON images (deleted, visibility, (coalesce(container_format, '')), created_at, id);
CREATE INDEX images_by_id ON images (deleted, visibility, id);
-- Filters that may match few rows of many; without them an administrator's list reads the whole table.
CREATE INDEX images_min_ram ON images (min_ram);
CREATE INDEX images_min_disk ON images (min_disk);
CREATE INDEX images_checksum ON images USING hash (checksum);
CREATE INDEX images_os_hash_value ON images USING hash (os_hash_value);
CREATE INDEX images_protected ON images (id) WHERE protected;
CREATE INDEX images_hidden ON images (id) WHERE os_hidden;
CREATE INDEX images_properties ON images USING gin (properties jsonb_path_ops) WHERE NOT deleted;
CREATE INDEX images_tags ON images USING gin (tags) WHERE NOT deleted;
-- Small: uploads in progress, for the limit on their number.
CREATE INDEX images_in_transit ON images (owner) WHERE status IN ('saving', 'uploading', 'importing');
CREATE INDEX images_pending_delete ON images (deleted_at) WHERE status = 'pending_delete';
CREATE INDEX images_purge ON images (deleted_at) WHERE status = 'deleted';

-- Ids of purged images: they stay taken for ever.
CREATE TABLE purged_images (
  id uuid NOT NULL,
  CONSTRAINT purged_images_pkey PRIMARY KEY (id)
);

CREATE TABLE image_members (
  -- Order of joining, exact where clocks are not.
  seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  image_id uuid NOT NULL,
  member text COLLATE "C" NOT NULL,
  can_share boolean NOT NULL,
  status member_status NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT image_members_pkey PRIMARY KEY (image_id, member),
  CONSTRAINT image_members_image FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
);
CREATE INDEX members_of ON image_members (member, status, image_id);

CREATE TABLE image_locations (
  id uuid NOT NULL,
  seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  image_id uuid NOT NULL,
  url text NOT NULL,
  metadata jsonb NOT NULL DEFAULT '{}',
  CONSTRAINT image_locations_pkey PRIMARY KEY (id),
  CONSTRAINT image_locations_image FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
);
CREATE INDEX image_locations_of ON image_locations (image_id, seq);

-- The object ledger. No foreign key to images: garbage outlives the record.
CREATE TABLE blobs (
  id uuid NOT NULL,
  image_id uuid NOT NULL,
  -- The image's project when the upload began; it is charged until the object is gone.
  owner text COLLATE "C",
  store text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  state blob_state NOT NULL,
  -- While writing: what is reserved.
  size bigint NOT NULL,
  etag text,
  digests jsonb,
  upload_id text,
  metadata jsonb NOT NULL DEFAULT '{}',
  on_failure image_status NOT NULL,
  abandoned boolean NOT NULL DEFAULT false,
  -- writing: the lease ends; staged: its time is over; garbage, deleted: the next removal. Null while live.
  due_at timestamptz,
  garbage_at timestamptz,
  created_at timestamptz NOT NULL,
  CONSTRAINT blobs_pkey PRIMARY KEY (id),
  CONSTRAINT blobs_key UNIQUE (store, key),
  CONSTRAINT blobs_due_unless_live CHECK ((state = 'live') = (due_at IS NULL)),
  CONSTRAINT blobs_size_not_negative CHECK (size >= 0)
);
CREATE INDEX blobs_of ON blobs (image_id);
CREATE INDEX blobs_charged ON blobs (owner) INCLUDE (size) WHERE state <> 'deleted';
CREATE INDEX blobs_expiring ON blobs (due_at) WHERE state IN ('writing', 'staged');
CREATE INDEX blobs_due ON blobs (due_at) WHERE state IN ('garbage', 'deleted');

-- Both the tasks resource and the queue. due_at: run at (pending), lease ends (processing).
CREATE TABLE tasks (
  id uuid NOT NULL,
  kind text COLLATE "C" NOT NULL,
  status task_status NOT NULL,
  owner text COLLATE "C",
  user_id text,
  request_id text,
  image_id uuid,
  input jsonb NOT NULL,
  result jsonb,
  message text,
  progress jsonb,
  attempt integer NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  expires_at timestamptz,
  CONSTRAINT tasks_pkey PRIMARY KEY (id)
);
CREATE INDEX tasks_due ON tasks (due_at) WHERE status IN ('pending', 'processing');
CREATE INDEX tasks_expiry ON tasks (expires_at) WHERE status IN ('success', 'failure');
CREATE INDEX tasks_of ON tasks (image_id, created_at);
CREATE UNIQUE INDEX tasks_one_open_per_image ON tasks (image_id)
  WHERE status IN ('pending', 'processing') AND image_id IS NOT NULL;
