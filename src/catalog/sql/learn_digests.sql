UPDATE blobs
SET digests = jsonb_strip_nulls(digests) || jsonb_strip_nulls($2)
WHERE image_id = $1 AND state = 'live' AND NOT digests @> jsonb_strip_nulls($2)
