-- A million images for measurements of lists, after the migrations: 1,000,000 present and 100,000 deleted images of
-- 20,000 projects, 200,000 memberships.
--
-- owners       project-1 to -20 own 5,000 images each, project-21 to -220 own 500, the others about 40
-- visibility   2.8 % public (one of twenty hidden), 1 % community, 56 % shared, 40 % private; elsewhere 1 % hidden
-- properties   architecture: 19 of 20 alike; os_distro: ubuntu on half; build: 50 of each; serial: one each;
--              origin: `vendor` on the 500 oldest images only, so a walk from the newest finds it last
-- tags         `base` on half; team-0 to team-999 on a tenth, 100 of each; `golden` on the 100 oldest public images
-- memberships  project-1 to -4 hold 5,000, the others nine; a third each pending, accepted, rejected
--
-- Everything is a function of the number, so two runs make the same rows. Indexes are dropped first and made again
-- as they were: twenty of them would be filled row by row otherwise.
SET maintenance_work_mem = '512MB';
SET statement_timeout = 0;

CREATE TEMPORARY TABLE put_aside AS
  SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
  FROM pg_index WHERE indrelid IN ('images'::regclass, 'image_members'::regclass) AND NOT indisunique;

DO $$
DECLARE one text;
BEGIN
  FOR one IN SELECT name FROM put_aside LOOP EXECUTE 'DROP INDEX ' || one; END LOOP;
END $$;

INSERT INTO images (id, owner, name, status, visibility, os_hidden, protected, disk_format, container_format,
  min_disk, min_ram, size, virtual_size, checksum, os_hash_algo, os_hash_value, tags, properties,
  created_at, updated_at, deleted_at)
SELECT md5('image ' || n)::uuid,
  'project-' || CASE WHEN pick < 100000 THEN 1 + pick % 20 WHEN pick < 200000 THEN 21 + pick % 200
    ELSE 221 + pick % 19780 END,
  CASE WHEN n % 50 = 0 THEN NULL ELSE 'image-' || chance % 250000 END,
  (CASE WHEN n % 11 = 0 THEN 'deleted' WHEN chance % 101 = 0 THEN 'queued' WHEN chance % 997 = 0 THEN 'deactivated'
    ELSE 'active' END)::image_status,
  (CASE WHEN kind < 28 THEN 'public' WHEN kind < 38 THEN 'community' WHEN kind < 600 THEN 'shared'
    ELSE 'private' END)::image_visibility,
  CASE WHEN kind < 28 THEN chance % 20 = 7 ELSE chance % 100 = 7 END,
  chance % 200 = 9,
  (ARRAY['qcow2', 'qcow2', 'raw', 'iso', NULL])[1 + chance % 5], (ARRAY['bare', 'bare', 'bare', 'ovf'])[1 + chance % 4],
  10 * (chance % 3), 512 * (chance % 4), CASE WHEN chance % 101 <> 0 THEN 1000000 + chance * 7919 END,
  CASE WHEN chance % 101 <> 0 THEN 2000000 + chance * 7919 END,
  md5(n::text), 'sha512', md5(n::text) || md5('a' || n) || md5('b' || n) || md5('c' || n),
  CASE WHEN chance % 2 = 0 THEN ARRAY['base'] ELSE '{}' END
    || CASE WHEN chance % 10 = 3 THEN ARRAY['team-' || chance / 10 % 1000] ELSE '{}' END
    || CASE WHEN kind < 28 AND n > 1096300 THEN ARRAY['golden'] ELSE '{}' END,
  jsonb_build_object(
      'architecture', CASE WHEN chance % 20 = 1 THEN 'aarch64' ELSE 'x86_64' END,
      'os_distro', (ARRAY['ubuntu', 'debian', 'ubuntu', 'fedora', 'ubuntu', 'windows'])[1 + chance / 2 % 6],
      'os_version', (20 + chance % 9)::text, 'hw_disk_bus', 'virtio', 'hw_rng_model', 'virtio',
      'build', 'b' || chance % 20000, 'serial', n::text)
    || CASE WHEN n > 1099500 THEN '{"origin": "vendor"}'::jsonb ELSE '{}' END,
  timestamptz '2026-01-01 00:00:00Z' - n * interval '30 seconds',
  timestamptz '2026-01-01 00:00:00Z' - n * interval '30 seconds' + chance % 86400 * interval '1 second',
  CASE WHEN n % 11 = 0 THEN timestamptz '2026-01-01 00:00:00Z' END
-- the number of an image, newest first; three shuffled numbers that know nothing of each other
FROM (SELECT n, (n * 611953 + 17) % 1000003 AS chance, (n * 370261 + 5) % 1000003 AS pick,
    (n * 40503 + n / 1000 * 77) % 1000 AS kind
  FROM generate_series(1::bigint, 1100000) AS n) AS numbered;

-- 20,000 of the four large holders, 180,000 of all, none for images that are not shared
INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at, image_created_at)
SELECT id, 'project-' || CASE WHEN n <= 20000 THEN 1 + n % 4 ELSE 1 + n % 20000 END, false,
  (ARRAY['pending', 'accepted', 'rejected'])[1 + n % 3]::member_status, created_at, created_at, created_at
FROM (SELECT id, created_at, row_number() OVER (ORDER BY md5('share ' || id)) AS n FROM images
  WHERE visibility = 'shared' AND NOT deleted) AS shared
WHERE n <= 200000;

DO $$
DECLARE one text;
BEGIN
  FOR one IN SELECT definition FROM put_aside LOOP EXECUTE one; END LOOP;
END $$;
DROP TABLE put_aside;

VACUUM (ANALYZE) images;
VACUUM (ANALYZE) image_members;
