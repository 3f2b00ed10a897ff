-- The outbox of events (operations.md §7). Triggers write it in the transaction of the change, so that no code path can
-- forget an event or send one for a change that did not take place.
--
-- Sessions say what they want: `vitrine.event_sinks` names the sinks between commas, `vitrine.events_disabled` the
-- types and groups that are not wanted. Where no sink is named the triggers are not even called. Nothing that the
-- previous release knows is changed.

-- One row for each event and sink, deleted when it is delivered.
CREATE TABLE events (
  -- The order of the events of one subject: who changes a record holds its lock from before its events to the commit.
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  -- The same for all sinks.
  message_id uuid NOT NULL,
  sink text COLLATE "C" NOT NULL,
  -- What is delivered in order: the id of an image or task, the name of a namespace.
  subject text COLLATE "C" NOT NULL,
  event_type text COLLATE "C" NOT NULL,
  priority text COLLATE "C" NOT NULL,
  payload jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  -- The next delivery; while one is on its way, the end of its lease.
  due_at timestamptz NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  CONSTRAINT events_pkey PRIMARY KEY (id)
);
CREATE INDEX events_due ON events (sink, due_at, id);
CREATE INDEX events_of ON events (sink, subject, id);
CREATE INDEX events_expiry ON events (created_at);

-- Puts an event into the outbox, once for every sink of this session. `image` disables all that begins with `image.`.
CREATE FUNCTION emit_event(type text, of_subject text, content jsonb, at_priority text DEFAULT 'INFO')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  message uuid := gen_random_uuid();
  disabled text[] := string_to_array(current_setting('vitrine.events_disabled', true), ',');
BEGIN
  IF EXISTS (SELECT 1 FROM unnest(disabled) AS word WHERE type = word OR starts_with(type, word || '.')) THEN
    RETURN;
  END IF;
  INSERT INTO events (message_id, sink, subject, event_type, priority, payload, created_at, due_at)
  SELECT message, given.sink, of_subject, type, at_priority, content, statement_timestamp(), statement_timestamp()
  FROM unnest(string_to_array(current_setting('vitrine.event_sinks', true), ',')) AS given (sink)
  WHERE given.sink <> '';
END $$;

-- An instant as the reference writes it: seconds, UTC.
CREATE FUNCTION event_time(instant timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT to_char(instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
$$;

-- An image as events show it. Locations are no part of it: they may hold secrets.
CREATE FUNCTION image_event(image images) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'id', image.id, 'name', image.name, 'status', image.status, 'created_at', event_time(image.created_at),
    'updated_at', event_time(image.updated_at), 'min_disk', image.min_disk, 'min_ram', image.min_ram,
    'protected', image.protected, 'checksum', image.checksum, 'owner', image.owner,
    'disk_format', image.disk_format, 'container_format', image.container_format, 'size', image.size,
    'virtual_size', image.virtual_size, 'is_public', image.visibility = 'public', 'visibility', image.visibility,
    'properties', image.properties, 'tags', to_jsonb(image.tags),
    'deleted', image.deleted_at IS NOT NULL, 'deleted_at', event_time(image.deleted_at))
$$;

-- What the events around the storing of data say beyond that: `backend` where there is but one store it can be.
CREATE FUNCTION import_event(image images) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT image_event(image) || jsonb_build_object(
    'os_glance_importing_to_stores', coalesce(to_jsonb(image.importing_to), '[]'),
    'os_glance_failed_import', coalesce(to_jsonb(image.failed_import), '[]'))
    || CASE WHEN cardinality(image.importing_to) = 1 THEN jsonb_build_object('backend', image.importing_to[1])
      ELSE '{}' END
$$;

CREATE FUNCTION emit_image_created() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM emit_event('image.create', NEW.id::text, image_event(NEW));
  RETURN NULL;
END $$;
CREATE TRIGGER images_event_created AFTER INSERT ON images FOR EACH ROW
  WHEN (coalesce(current_setting('vitrine.event_sinks', true), '') <> '') EXECUTE FUNCTION emit_image_created();

-- The end of an image's life, told with what it had. Its data may still wait to be removed; to those who listen it is
-- gone.
CREATE FUNCTION emit_image_deleted(image images, before images) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  image.tags := before.tags;
  image.properties := before.properties;
  image.status := 'deleted';
  image.deleted_at := coalesce(image.deleted_at, statement_timestamp());
  PERFORM emit_event('image.delete', image.id::text, image_event(image));
END $$;

-- One update of a record is several events of the reference, in its order:
-- data are about to come (update, prepare), have come (upload, activate, update), or have not (upload with ERROR, update).
CREATE FUNCTION emit_image_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  importing_before text[] := coalesce(OLD.importing_to, '{}');
  importing_now text[] := coalesce(NEW.importing_to, '{}');
  failed_before text[] := coalesce(OLD.failed_import, '{}');
  failed_now text[] := coalesce(NEW.failed_import, '{}');
  subject text := NEW.id::text;
  begun boolean;
  failed boolean;
  stored boolean;
BEGIN
  IF NEW.deleted THEN
    -- an image whose delete was delayed is told of once
    IF NOT OLD.deleted THEN
      PERFORM emit_image_deleted(NEW, OLD);
    END IF;
    RETURN NULL;
  END IF;
  begun := (NEW.status = 'saving' AND OLD.status <> 'saving')
    OR (importing_before = '{}' AND importing_now <> '{}');
  failed := (OLD.status IN ('saving', 'importing') AND NEW.status IN ('queued', 'killed'))
    OR NOT failed_now <@ failed_before;
  stored := NEW.status NOT IN ('queued', 'killed') AND (
    (OLD.status IN ('saving', 'uploading') AND NEW.status = 'active')
    -- a store that is left neither to be filled nor failed
    OR EXISTS (SELECT unnest(importing_before) EXCEPT SELECT unnest(importing_now) EXCEPT SELECT unnest(failed_now)));
  IF begun THEN
    PERFORM emit_event('image.update', subject, image_event(NEW));
    PERFORM emit_event('image.prepare', subject, import_event(NEW));
    RETURN NULL;
  END IF;
  IF failed THEN
    PERFORM emit_event('image.upload', subject,
      to_jsonb(format('Failed to store the data of image %s', NEW.id)), 'ERROR');
  END IF;
  IF stored THEN
    PERFORM emit_event('image.upload', subject, import_event(NEW));
  END IF;
  -- else the statement that saves the record is yet to come
  IF NEW.revision <> OLD.revision THEN
    IF NEW.status = 'active' AND OLD.status IN ('queued', 'saving', 'uploading', 'importing') THEN
      PERFORM emit_event('image.activate', subject, image_event(NEW));
    END IF;
    PERFORM emit_event('image.update', subject, image_event(NEW));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER images_event_changed AFTER UPDATE ON images FOR EACH ROW
  WHEN (coalesce(current_setting('vitrine.event_sinks', true), '') <> '') EXECUTE FUNCTION emit_image_changed();

-- A purge removes what was deleted, which has been told.
CREATE FUNCTION emit_image_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM emit_image_deleted(OLD, OLD);
  RETURN NULL;
END $$;
CREATE TRIGGER images_event_removed AFTER DELETE ON images FOR EACH ROW
  WHEN (NOT OLD.deleted AND coalesce(current_setting('vitrine.event_sinks', true), '') <> '')
  EXECUTE FUNCTION emit_image_removed();

CREATE FUNCTION member_event(member image_members, removed_at timestamptz DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'image_id', member.image_id, 'member_id', member.member, 'status', member.status,
    'created_at', event_time(member.created_at), 'updated_at', event_time(member.updated_at),
    'deleted', removed_at IS NOT NULL, 'deleted_at', event_time(removed_at))
$$;

CREATE FUNCTION emit_member_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM emit_event('image.member.create', NEW.image_id::text, member_event(NEW));
  ELSIF TG_OP = 'UPDATE' THEN
    PERFORM emit_event('image.member.update', NEW.image_id::text, member_event(NEW));
  -- members that go with their image are told of by image.delete alone
  ELSIF EXISTS (SELECT 1 FROM images WHERE images.id = OLD.image_id AND NOT images.deleted) THEN
    PERFORM emit_event('image.member.delete', OLD.image_id::text, member_event(OLD, statement_timestamp()));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER image_members_event AFTER INSERT OR UPDATE OR DELETE ON image_members FOR EACH ROW
  WHEN (coalesce(current_setting('vitrine.event_sinks', true), '') <> '') EXECUTE FUNCTION emit_member_changed();

-- A task as events show it: never its input, and neither result nor message.
CREATE FUNCTION task_event(task tasks, removed_at timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'id', task.id, 'type', task.kind, 'status', task.status, 'owner', task.owner, 'result', NULL, 'message', NULL,
    'expires_at', event_time(task.expires_at), 'created_at', event_time(task.created_at),
    'updated_at', event_time(task.updated_at), 'deleted', removed_at IS NOT NULL,
    'deleted_at', event_time(removed_at))
$$;

CREATE FUNCTION emit_task_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM emit_event('task.create', NEW.id::text, task_event(NEW));
  ELSIF TG_OP = 'DELETE' THEN
    PERFORM emit_event('task.delete', OLD.id::text, task_event(OLD, statement_timestamp()));
  ELSIF NEW.status = 'processing' THEN
    PERFORM emit_event('task.run', NEW.id::text, task_event(OLD));
    PERFORM emit_event('task.processing', NEW.id::text, task_event(NEW));
  ELSE
    PERFORM emit_event('task.' || NEW.status, NEW.id::text, task_event(NEW));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER tasks_event_existence AFTER INSERT OR DELETE ON tasks FOR EACH ROW
  WHEN (coalesce(current_setting('vitrine.event_sinks', true), '') <> '') EXECUTE FUNCTION emit_task_changed();
-- A task begins once, however often it is tried: every attempt but the first finds it touched.
CREATE TRIGGER tasks_event_status AFTER UPDATE ON tasks FOR EACH ROW
  WHEN (OLD.status <> NEW.status AND (NEW.status IN ('success', 'failure')
      OR (NEW.status = 'processing' AND OLD.updated_at = OLD.created_at))
    AND coalesce(current_setting('vitrine.event_sinks', true), '') <> '')
  EXECUTE FUNCTION emit_task_changed();
