LOCK TABLE metadef_namespaces IN EXCLUSIVE MODE
