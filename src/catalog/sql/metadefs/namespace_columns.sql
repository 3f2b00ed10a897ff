  metadef_namespaces.id, metadef_namespaces.namespace, metadef_namespaces.display_name,
  metadef_namespaces.description, metadef_namespaces.visibility, metadef_namespaces.protected,
  metadef_namespaces.owner, metadef_namespaces.created_at, metadef_namespaces.updated_at
