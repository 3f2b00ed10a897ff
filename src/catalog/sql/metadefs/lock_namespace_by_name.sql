SELECT id FROM metadef_namespaces WHERE namespace = $1 FOR UPDATE
