UPDATE blobs SET findings = NULL, inherited = NULL WHERE image_id = $1 AND state = 'live' AND findings IS NOT NULL
