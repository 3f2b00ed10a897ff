FROM metadef_namespaces
WHERE metadef_namespaces.namespace = $1
