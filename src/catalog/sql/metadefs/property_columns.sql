  metadef_properties.name, metadef_properties.schema
