UPDATE images
SET status = CASE WHEN status = 'importing' THEN 'queued' ELSE status END,
  size = CASE WHEN status = 'importing' THEN NULL ELSE size END,
  virtual_size = CASE WHEN status = 'importing' THEN NULL ELSE virtual_size END,
  checksum = CASE WHEN status = 'importing' THEN NULL ELSE checksum END,
  os_hash_algo = CASE WHEN status = 'importing' THEN NULL ELSE os_hash_algo END,
  os_hash_value = CASE WHEN status = 'importing' THEN NULL ELSE os_hash_value END,
  importing_to = '{}',
  failed_import = (SELECT coalesce(array_agg(DISTINCT store ORDER BY store), '{}')
                   FROM unnest(coalesce(failed_import, '{}') || $2::text[]) AS store),
  updated_at = statement_timestamp(), revision = revision + 1
WHERE id = $1
