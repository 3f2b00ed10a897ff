//! The tables of a Glance as far as they are read, on PostgreSQL or as a dump of MySQL has them, and rows in them.

use secrecy::SecretString;
use serde_json::Value;
use tokio_postgres::Client;

use super::db::{TestDatabase, empty_database};

/// Where the tables come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typing {
    /// Glance on PostgreSQL.
    Postgres,
    /// A dump of MySQL in a schema of its own, as loaders type it: numbers for truth values, times without a zone.
    MySql,
}

/// A database of Glance. Dropping it drops the database.
pub struct GlanceTables {
    /// Schema of the tables.
    pub schema: &'static str,
    database: TestDatabase,
    client: Client,
}

/// Columns of every table of images, behind those of its own.
const COMMON: &str = "created_at TIME NOT NULL DEFAULT '2024-05-06 07:08:09', updated_at TIME, deleted_at TIME, \
                      deleted FLAG NOT NULL DEFAULT '0'";

const TABLES: &[(&str, &str)] = &[
    (
        "images",
        "id CHARS(36) PRIMARY KEY, name CHARS(255), disk_format CHARS(20), container_format CHARS(20), size bigint, \
         virtual_size bigint, status CHARS(30) NOT NULL, visibility VISIBILITY NOT NULL DEFAULT 'shared', \
         checksum CHARS(32), os_hash_algo CHARS(64), os_hash_value CHARS(128), min_disk integer NOT NULL DEFAULT 0, \
         min_ram integer NOT NULL DEFAULT 0, owner CHARS(255), protected FLAG NOT NULL DEFAULT '0', \
         os_hidden FLAG NOT NULL DEFAULT '0', COMMON",
    ),
    (
        "image_properties",
        "id serial, image_id CHARS(36) NOT NULL, name CHARS(255) NOT NULL, value text, COMMON",
    ),
    ("image_tags", "id serial, image_id CHARS(36) NOT NULL, value CHARS(255) NOT NULL, COMMON"),
    (
        "image_members",
        "id serial, image_id CHARS(36) NOT NULL, member CHARS(255) NOT NULL, can_share FLAG NOT NULL DEFAULT '0', \
         status CHARS(20) NOT NULL DEFAULT 'pending', COMMON",
    ),
    (
        "image_locations",
        "id serial, image_id CHARS(36) NOT NULL, value text NOT NULL, meta_data text, \
         status CHARS(30) NOT NULL DEFAULT 'active', COMMON",
    ),
    (
        "metadef_namespaces",
        "id serial, namespace CHARS(80) NOT NULL, display_name CHARS(80), description text, visibility CHARS(32), \
         protected FLAG, owner CHARS(255) NOT NULL",
    ),
    (
        "metadef_objects",
        "id serial, namespace_id integer NOT NULL, name CHARS(80) NOT NULL, description text, required text, \
         json_schema text NOT NULL",
    ),
    (
        "metadef_properties",
        "id serial, namespace_id integer NOT NULL, name CHARS(80) NOT NULL, json_schema text NOT NULL",
    ),
    ("metadef_tags", "id serial, namespace_id integer NOT NULL, name CHARS(80) NOT NULL"),
    ("metadef_resource_types", "id serial, name CHARS(80) NOT NULL, protected FLAG NOT NULL DEFAULT '0'"),
    (
        "metadef_namespace_resource_types",
        "resource_type_id integer NOT NULL, namespace_id integer NOT NULL, properties_target CHARS(80), \
         prefix CHARS(80)",
    ),
];

impl GlanceTables {
    /// Empty tables.
    pub async fn create(typing: Typing) -> Self {
        let database = empty_database().await;
        let client = database.client().await;
        let schema = match typing {
            Typing::Postgres => "public",
            Typing::MySql => "glance",
        };
        let mut ddl = format!("CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path = {schema};");
        let names = match typing {
            Typing::Postgres => {
                ddl.push_str(
                    "CREATE TYPE image_visibility AS ENUM ('private', 'public', 'shared', 'community');",
                );
                [
                    ("TIME", "timestamp"),
                    ("FLAG", "boolean"),
                    ("VISIBILITY", "image_visibility"),
                    ("CHARS", "varchar"),
                ]
            }
            Typing::MySql => {
                [("TIME", "timestamptz"), ("FLAG", "smallint"), ("VISIBILITY", "text"), ("CHARS", "varchar")]
            }
        };
        for (table, columns) in TABLES {
            let mut columns = columns.replace("COMMON", COMMON);
            for (name, meaning) in names {
                columns = columns.replace(name, meaning);
            }
            ddl.push_str(&format!("CREATE TABLE {table} ({columns});"));
        }
        client.batch_execute(&ddl).await.unwrap();
        Self { schema, database, client }
    }

    /// URL of the database.
    pub fn url(&self) -> &str {
        &self.database.url
    }

    /// The same, as a secret.
    pub fn secret_url(&self) -> SecretString {
        self.url().into()
    }

    /// Runs statements.
    pub async fn sql(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    /// Inserts a row with the members of `values`: texts, numbers, truth values, and nulls.
    pub async fn insert(&self, table: &str, values: &Value) {
        let values = values.as_object().unwrap();
        let literal = |value: &Value| match value {
            Value::Null => "NULL".to_owned(),
            Value::Bool(flag) => format!("'{}'", u8::from(*flag)),
            Value::String(text) => format!("'{}'", text.replace('\'', "''")),
            other => format!("'{other}'"),
        };
        let columns: Vec<&str> = values.keys().map(String::as_str).collect();
        let literals: Vec<String> = values.values().map(literal).collect();
        self.sql(&format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), literals.join(", ")))
            .await;
    }

    /// Inserts an active image with these columns; its id.
    pub async fn image(&self, id: &str, columns: Value) {
        let mut row = serde_json::json!({
            "id": id, "status": "active", "owner": "alpha", "disk_format": "raw", "container_format": "bare",
        });
        row.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
        self.insert("images", &row).await;
    }

    /// Inserts a location.
    pub async fn location(&self, id: &str, url: &str, metadata: Value) {
        let row = serde_json::json!({ "image_id": id, "value": url, "meta_data": metadata.to_string() });
        self.insert("image_locations", &row).await;
    }

    /// Everything in the tables, to tell whether anything has changed.
    pub async fn content(&self) -> Vec<String> {
        let mut content = Vec::new();
        for (table, _) in TABLES {
            let rows = format!("SELECT to_jsonb(r)::text FROM {table} AS r ORDER BY 1");
            content.extend(
                self.client.query(&rows, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)),
            );
        }
        content
    }
}
