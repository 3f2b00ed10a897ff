-- What `vitrine adopt` took over, as it left it. Nothing that the previous release knows is changed.

-- Memberships of an image as one value: another one after any change of them, as numbers are never given twice.
CREATE FUNCTION members_digest(image uuid) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT sha256(convert_to(coalesce(string_agg(seq || ' ' || extract(epoch FROM updated_at), ',' ORDER BY seq), ''),
    'UTF8'))
  FROM image_members
  WHERE image_id = image
$$;

-- An image is as it was taken over while both are its own. The note outlives the image: where its id was purged, that
-- tells it from an image of another origin.
CREATE TABLE adoptions (
  image_id uuid NOT NULL,
  revision bigint NOT NULL,
  members bytea NOT NULL,
  CONSTRAINT adoptions_pkey PRIMARY KEY (image_id)
);
