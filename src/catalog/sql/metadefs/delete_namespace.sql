DELETE FROM metadef_namespaces WHERE id = $1
