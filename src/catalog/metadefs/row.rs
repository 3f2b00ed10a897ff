//! Rows to definitions. The column lists are those of `sql/metadefs/*_columns.sql`.

use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::catalog::Result;
use crate::catalog::error::{Error, ErrorKind};
use crate::catalog::row::get;
use crate::domain::metadef::{
    Association, AssociationFields, Namespace, NamespaceFields, Object, ObjectFields, Property, ResourceType,
    Tag, Visibility,
};

/// The text of one of `sql/metadefs/*.sql`, with the columns of a record where named; as the macro of that name for the
/// other statements, which finds its files from the folder above.
macro_rules! sql {
    ($file:literal) => {
        include_str!(concat!("../sql/metadefs/", $file, ".sql"))
    };
    ($file:literal returning $columns:literal) => {
        concat!(
            include_str!(concat!("../sql/metadefs/", $file, ".sql")),
            "RETURNING\n",
            include_str!(concat!("../sql/metadefs/", $columns, "_columns.sql"))
        )
    };
    (select $columns:literal $file:literal) => {
        concat!(
            "SELECT\n",
            include_str!(concat!("../sql/metadefs/", $columns, "_columns.sql")),
            include_str!(concat!("../sql/metadefs/", $file, ".sql"))
        )
    };
}
pub(super) use sql;

pub(super) fn namespace(row: &Row) -> Result<Namespace> {
    let visibility = get::<Option<&str>>(row, "visibility")?.map(visibility).transpose()?;
    Ok(Namespace {
        id: get(row, "id")?,
        fields: NamespaceFields {
            namespace: get(row, "namespace")?,
            display_name: get(row, "display_name")?,
            description: get(row, "description")?,
            visibility,
            protected: get(row, "protected")?,
            owner: get(row, "owner")?,
        },
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

fn visibility(word: &str) -> Result<Visibility> {
    word.parse()
        .map_err(|()| Error::caused(ErrorKind::Internal, format!("unknown word `{word}` in visibility")))
}

pub(super) fn object(row: &Row) -> Result<Object> {
    Ok(Object {
        fields: ObjectFields {
            name: get(row, "name")?,
            description: get(row, "description")?,
            required: get::<Json<_>>(row, "required")?.0,
            properties: get::<Json<_>>(row, "properties")?.0,
        },
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

pub(super) fn property(row: &Row) -> Result<Property> {
    Ok(Property { name: get(row, "name")?, schema: get::<Json<_>>(row, "schema")?.0 })
}

pub(super) fn tag(row: &Row) -> Result<Tag> {
    Ok(Tag {
        name: get(row, "name")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

pub(super) fn association(row: &Row) -> Result<Association> {
    Ok(Association {
        fields: AssociationFields {
            name: get(row, "name")?,
            prefix: get(row, "prefix")?,
            properties_target: get(row, "properties_target")?,
        },
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

pub(super) fn resource_type(row: &Row) -> Result<ResourceType> {
    Ok(ResourceType {
        name: get(row, "name")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

/// Every row as a record.
pub(super) fn all<T>(rows: &[Row], record: impl Fn(&Row) -> Result<T>) -> Result<Vec<T>> {
    rows.iter().map(record).collect()
}

/// The internal id of a record.
pub(super) fn id(row: &Row) -> Result<i64> {
    get(row, "id")
}

/// The namespace of an association.
pub(super) fn namespace_id(row: &Row) -> Result<i64> {
    get(row, "namespace_id")
}
