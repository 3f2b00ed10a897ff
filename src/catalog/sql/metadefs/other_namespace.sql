SELECT 1 FROM metadef_namespaces WHERE namespace = $2 AND id <> $1
