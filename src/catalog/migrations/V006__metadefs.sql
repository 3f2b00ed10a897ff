-- The catalogue of metadata definitions (metadefs.md §1). Nothing that the previous release knows is changed.
--
-- Whoever changes anything of it locks a row of metadef_namespaces first, or adds one; so whoever locks that table
-- keeps all others out.

CREATE TABLE metadef_namespaces (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  namespace text COLLATE "C" NOT NULL,
  display_name text COLLATE "C",
  description text COLLATE "C",
  -- What files leave open counts as private and not protected.
  visibility text COLLATE "C",
  protected boolean,
  -- A project or any other text.
  owner text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  -- None until the first change of what was loaded from a file, here and below.
  updated_at timestamptz,
  CONSTRAINT metadef_namespaces_pkey PRIMARY KEY (id),
  CONSTRAINT metadef_namespaces_name UNIQUE (namespace),
  CONSTRAINT metadef_namespaces_visibility CHECK (visibility IN ('public', 'private'))
);

-- Lists are merged of public and other namespaces, so that one index serves both administrators and projects, and a
-- list of either kind alone. What a project sees besides the public ones is its own.
CREATE INDEX metadef_namespaces_public_by_created ON metadef_namespaces (created_at, id)
  WHERE visibility = 'public';
CREATE INDEX metadef_namespaces_public_by_name ON metadef_namespaces (namespace) WHERE visibility = 'public';
CREATE INDEX metadef_namespaces_public_by_updated
  ON metadef_namespaces ((coalesce(updated_at, '-infinity')), created_at, id) WHERE visibility = 'public';
CREATE INDEX metadef_namespaces_other_by_created ON metadef_namespaces (created_at, id)
  WHERE visibility IS DISTINCT FROM 'public';
CREATE INDEX metadef_namespaces_other_by_name ON metadef_namespaces (namespace)
  WHERE visibility IS DISTINCT FROM 'public';
CREATE INDEX metadef_namespaces_other_by_updated
  ON metadef_namespaces ((coalesce(updated_at, '-infinity')), created_at, id)
  WHERE visibility IS DISTINCT FROM 'public';
CREATE INDEX metadef_namespaces_own_by_created ON metadef_namespaces (owner, created_at, id)
  WHERE visibility IS DISTINCT FROM 'public';
CREATE INDEX metadef_namespaces_own_by_name ON metadef_namespaces (owner, namespace)
  WHERE visibility IS DISTINCT FROM 'public';
CREATE INDEX metadef_namespaces_own_by_updated
  ON metadef_namespaces (owner, (coalesce(updated_at, '-infinity')), created_at, id)
  WHERE visibility IS DISTINCT FROM 'public';

-- The order of creation is (created_at, id) everywhere: rows of one statement have the same time.
CREATE TABLE metadef_objects (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  namespace_id bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  description text,
  -- Names of properties, an array.
  required jsonb NOT NULL,
  -- Schemas by name.
  properties jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz,
  CONSTRAINT metadef_objects_pkey PRIMARY KEY (id),
  CONSTRAINT metadef_objects_name UNIQUE (namespace_id, name),
  CONSTRAINT metadef_objects_namespace FOREIGN KEY (namespace_id) REFERENCES metadef_namespaces ON DELETE CASCADE
);

CREATE TABLE metadef_properties (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  namespace_id bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  schema jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz,
  CONSTRAINT metadef_properties_pkey PRIMARY KEY (id),
  CONSTRAINT metadef_properties_name UNIQUE (namespace_id, name),
  CONSTRAINT metadef_properties_namespace FOREIGN KEY (namespace_id) REFERENCES metadef_namespaces
    ON DELETE CASCADE
);

CREATE TABLE metadef_tags (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  namespace_id bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz,
  CONSTRAINT metadef_tags_pkey PRIMARY KEY (id),
  CONSTRAINT metadef_tags_name UNIQUE (namespace_id, name),
  CONSTRAINT metadef_tags_namespace FOREIGN KEY (namespace_id) REFERENCES metadef_namespaces ON DELETE CASCADE
);
CREATE INDEX metadef_tags_by_created ON metadef_tags (namespace_id, created_at, id);
CREATE INDEX metadef_tags_by_updated
  ON metadef_tags (namespace_id, (coalesce(updated_at, '-infinity'::timestamptz)), created_at, id);

CREATE TABLE metadef_resource_types (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  name text COLLATE "C" NOT NULL,
  -- Whether it was loaded from a file. Nothing depends on it yet.
  protected boolean NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz,
  CONSTRAINT metadef_resource_types_pkey PRIMARY KEY (id),
  CONSTRAINT metadef_resource_types_name UNIQUE (name)
);

CREATE TABLE metadef_namespace_resource_types (
  -- For the order alone.
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  namespace_id bigint NOT NULL,
  resource_type_id bigint NOT NULL,
  prefix text,
  properties_target text,
  created_at timestamptz NOT NULL,
  updated_at timestamptz,
  CONSTRAINT metadef_namespace_resource_types_pkey PRIMARY KEY (namespace_id, resource_type_id),
  CONSTRAINT metadef_namespace_resource_types_namespace FOREIGN KEY (namespace_id) REFERENCES metadef_namespaces
    ON DELETE CASCADE,
  CONSTRAINT metadef_namespace_resource_types_type FOREIGN KEY (resource_type_id) REFERENCES metadef_resource_types
);
-- The namespaces of one type; also for the check when types are deleted.
CREATE INDEX metadef_namespace_resource_types_of ON metadef_namespace_resource_types (resource_type_id, namespace_id);

-- Events (operations.md §7), as V004__events.sql has those of images. Their subject is the name of the namespace; all of
-- one namespace are written under its lock. A transaction that has no events to tell, or tells them itself, unsets
-- `vitrine.event_sinks` for its own time.

-- A namespace as events show it: what is left open as what it counts as.
CREATE FUNCTION metadef_namespace_event(
  namespace metadef_namespaces, name_before text, removed_at timestamptz DEFAULT NULL
) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'namespace', namespace.namespace, 'namespace_old', name_before, 'display_name', namespace.display_name,
    'description', namespace.description, 'visibility', coalesce(namespace.visibility, 'private'),
    'protected', coalesce(namespace.protected, false), 'owner', namespace.owner,
    'created_at', event_time(namespace.created_at), 'updated_at', event_time(namespace.updated_at),
    'deleted', removed_at IS NOT NULL, 'deleted_at', event_time(removed_at))
$$;

CREATE FUNCTION emit_metadef_namespace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM emit_event('metadef_namespace.create', NEW.namespace, metadef_namespace_event(NEW, NEW.namespace));
  ELSE
    PERFORM emit_event('metadef_namespace.update', NEW.namespace, metadef_namespace_event(NEW, OLD.namespace));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER metadef_namespaces_event AFTER INSERT OR UPDATE ON metadef_namespaces FOR EACH ROW
  WHEN (coalesce(current_setting('vitrine.event_sinks', true), '') <> '')
  EXECUTE FUNCTION emit_metadef_namespace();

-- Told before what is in the namespace goes by its foreign keys: the rest of the transaction tells nothing, so that none of
-- ten thousand rows costs more than itself.
CREATE FUNCTION emit_metadef_namespace_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM emit_event('metadef_namespace.delete', OLD.namespace,
    metadef_namespace_event(OLD, OLD.namespace, statement_timestamp()));
  PERFORM set_config('vitrine.event_sinks', '', true);
  RETURN OLD;
END $$;
CREATE TRIGGER metadef_namespaces_event_deleted BEFORE DELETE ON metadef_namespaces FOR EACH ROW
  WHEN (coalesce(current_setting('vitrine.event_sinks', true), '') <> '')
  EXECUTE FUNCTION emit_metadef_namespace_deleted();

-- Tells that all things of a kind are being deleted, once; the rest of the transaction tells nothing.
CREATE FUNCTION emit_metadefs_deleted(of_namespace bigint, things text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF coalesce(current_setting('vitrine.event_sinks', true), '') <> '' THEN
    PERFORM emit_event('metadef_namespace.delete_' || things, known.namespace,
      metadef_namespace_event(known, known.namespace))
    FROM metadef_namespaces AS known WHERE known.id = of_namespace;
    PERFORM set_config('vitrine.event_sinks', '', true);
  END IF;
END $$;

-- Tells of something in a namespace.
CREATE FUNCTION emit_metadef(kind text, operation text, of_namespace bigint, name_before text, content jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  known text;
  removed_at timestamptz := CASE operation WHEN 'DELETE' THEN statement_timestamp() END;
  change text := CASE operation WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'update' ELSE 'delete' END;
BEGIN
  SELECT namespace INTO known FROM metadef_namespaces WHERE id = of_namespace;
  IF FOUND THEN
    PERFORM emit_event(format('metadef_%s.%s', kind, change), known, content || jsonb_build_object(
      'namespace', known, 'name_old', name_before,
      'deleted', removed_at IS NOT NULL, 'deleted_at', event_time(removed_at)));
  END IF;
END $$;

-- The schema of a property with every key that there can be (metadefs.md §6).
CREATE FUNCTION metadef_schema_event(property_name text, schema jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object(
    'name', property_name, 'type', schema -> 'type', 'title', schema -> 'title',
    'description', schema -> 'description', 'operators', schema -> 'operators', 'default', schema -> 'default',
    'readonly', schema -> 'readonly', 'minimum', schema -> 'minimum', 'maximum', schema -> 'maximum',
    'enum', schema -> 'enum', 'pattern', schema -> 'pattern', 'minLength', schema -> 'minLength',
    'maxLength', schema -> 'maxLength', 'items', schema -> 'items', 'minItems', schema -> 'minItems',
    'maxItems', schema -> 'maxItems', 'uniqueItems', schema -> 'uniqueItems',
    'additionalItems', schema -> 'additionalItems')
$$;

CREATE FUNCTION emit_metadef_object() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  object metadef_objects := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  schemas jsonb := (
    SELECT coalesce(jsonb_agg(metadef_schema_event(key, value) ORDER BY key COLLATE "C"), '[]')
    FROM jsonb_each(object.properties));
BEGIN
  PERFORM emit_metadef('object', TG_OP, object.namespace_id, coalesce(OLD.name, NEW.name), jsonb_build_object(
    'name', object.name, 'description', object.description, 'required', object.required, 'properties', schemas,
    'created_at', event_time(object.created_at), 'updated_at', event_time(object.updated_at)));
  RETURN NULL;
END $$;
CREATE TRIGGER metadef_objects_event AFTER INSERT OR UPDATE OR DELETE ON metadef_objects FOR EACH ROW
  WHEN (coalesce(current_setting('vitrine.event_sinks', true), '') <> '') EXECUTE FUNCTION emit_metadef_object();

CREATE FUNCTION emit_metadef_property() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  property metadef_properties := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
  PERFORM emit_metadef('property', TG_OP, property.namespace_id, coalesce(OLD.name, NEW.name),
    metadef_schema_event(property.name, property.schema));
  RETURN NULL;
END $$;
CREATE TRIGGER metadef_properties_event AFTER INSERT OR UPDATE OR DELETE ON metadef_properties FOR EACH ROW
  WHEN (coalesce(current_setting('vitrine.event_sinks', true), '') <> '') EXECUTE FUNCTION emit_metadef_property();

CREATE FUNCTION emit_metadef_tag() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  tag metadef_tags := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
  PERFORM emit_metadef('tag', TG_OP, tag.namespace_id, coalesce(OLD.name, NEW.name), jsonb_build_object(
    'name', tag.name, 'created_at', event_time(tag.created_at), 'updated_at', event_time(tag.updated_at)));
  RETURN NULL;
END $$;
CREATE TRIGGER metadef_tags_event AFTER INSERT OR UPDATE OR DELETE ON metadef_tags FOR EACH ROW
  WHEN (coalesce(current_setting('vitrine.event_sinks', true), '') <> '') EXECUTE FUNCTION emit_metadef_tag();

-- To those who listen, a resource type exists in a namespace.
CREATE FUNCTION emit_metadef_resource_type() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  association metadef_namespace_resource_types := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  known text := (SELECT name FROM metadef_resource_types WHERE id = association.resource_type_id);
BEGIN
  PERFORM emit_metadef('resource_type', TG_OP, association.namespace_id, known, jsonb_build_object(
    'name', known, 'prefix', association.prefix, 'properties_target', association.properties_target,
    'created_at', event_time(association.created_at), 'updated_at', event_time(association.updated_at)));
  RETURN NULL;
END $$;
CREATE TRIGGER metadef_namespace_resource_types_event AFTER INSERT OR DELETE ON metadef_namespace_resource_types
  FOR EACH ROW WHEN (coalesce(current_setting('vitrine.event_sinks', true), '') <> '')
  EXECUTE FUNCTION emit_metadef_resource_type();
