-- Lists of the Images API v2, measured on 1,000,000 images and 200,000 memberships (examples/bench/million.sql).
--
-- Nothing is removed, so the previous release runs on this schema. Lists, and whatever else looks at memberships,
-- wait meanwhile, about three seconds for 200,000 of them; changes of images wait about ten seconds for a million. The
-- first statement takes the strongest lock: taken later, it would be a deadlock with transactions that have read the
-- table and are about to write it.

-- When the image was created, which never changes, so that the memberships of a project come in the order of its
-- lists and a page reads the images of one page. Whoever does change it by hand has to change it here too.
ALTER TABLE image_members ADD COLUMN image_created_at timestamptz;

-- By writing the table anew: an update of all rows takes twice as long, and leaves the table twice as large.
CREATE FUNCTION creation_of(image uuid) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT images.created_at FROM images WHERE images.id = image);
END $$;
ALTER TABLE image_members
  ALTER COLUMN image_created_at TYPE timestamptz USING creation_of(image_id),
  ALTER COLUMN image_created_at SET NOT NULL;
DROP FUNCTION creation_of;

-- The previous release adds members without it.
CREATE FUNCTION set_image_created_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT images.created_at INTO NEW.image_created_at FROM images WHERE images.id = NEW.image_id;
  RETURN NEW;
END $$;
CREATE TRIGGER image_members_created BEFORE INSERT ON image_members
  FOR EACH ROW WHEN (NEW.image_created_at IS NULL) EXECUTE FUNCTION set_image_created_at();

-- Memberships with one answer, and with any.
CREATE INDEX members_by_created ON image_members (member, status, image_created_at, image_id);
CREATE INDEX members_any_by_created ON image_members (member, image_created_at, image_id);
-- Lists are planned for their values, so the planner has to know those of the new column.
ANALYZE image_members;

-- A project with thousands of images, by name or looking for one: clients do so before every use of a name.
CREATE INDEX images_owner_by_name ON images (owner, deleted, (coalesce(name, '')), created_at, id);
-- Filters that may match few rows of many. The algorithm is one word almost everywhere, so this one stays small.
CREATE INDEX images_virtual_size ON images (virtual_size);
CREATE INDEX images_os_hash_algo ON images (os_hash_algo);
-- Lists of nothing but these. Few images are in them; before, all of one visibility were read to find them.
CREATE INDEX images_hidden_by_created ON images (deleted, visibility, created_at, id) WHERE os_hidden;
CREATE INDEX images_protected_by_created ON images (deleted, visibility, created_at, id) WHERE protected;
