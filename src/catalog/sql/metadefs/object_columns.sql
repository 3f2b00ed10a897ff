  metadef_objects.name, metadef_objects.description, metadef_objects.required, metadef_objects.properties,
  metadef_objects.created_at, metadef_objects.updated_at
