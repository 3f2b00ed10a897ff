//! The database of a Glance that images are taken over from: read, never written.
//!
//! Everything is seen as of one moment, in a transaction that cannot write. The tables are walked side by side in order of
//! image id, a page at a time, so that neither their size nor missing indexes matter here. Values are read as text: a
//! dump of MySQL gives the columns other types than Glance gives them on PostgreSQL.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use deadpool_postgres::Object;
use secrecy::SecretString;
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::config::{Database, Notifications, Tls};
use crate::domain::adoption::{NamespaceRecord, Record, Row};

use super::login::Login;
use super::retry::Failure;
use super::{Error, ErrorKind, Result, pool};

/// Rows fetched at a time: few, as one value may have 64 KiB.
const PAGE: usize = 100;
/// Most rows of one table that belong to one image.
const MOST_ROWS: usize = 10_000;
/// Most bytes of these.
const MOST_BYTES: usize = 16 << 20;
/// Bytes that end a page of images.
const PAGE_BYTES: usize = 32 << 20;
/// Longest wait for a page: the first one of a table waits until the table is sorted.
const PAGE_WAIT: Duration = Duration::from_secs(1800);

/// What is read of a table.
struct Table {
    name: &'static str,
    /// Its columns; the first is the id of the image.
    columns: &'static [&'static str],
    /// How many of them, from the first on, every version of Glance has.
    needed: usize,
}

impl Table {
    /// Whether a row is a deleted one of no use. Deleted locations tell where data is left.
    fn passes_over(&self, row: &Row) -> bool {
        self.name != LOCATIONS.name && row.flag("deleted") == Ok(true)
    }
}

const IMAGES: Table = Table {
    name: "images",
    columns: &[
        "id",
        "status",
        "created_at",
        "size",
        "name",
        "owner",
        "disk_format",
        "container_format",
        "checksum",
        "min_disk",
        "min_ram",
        "protected",
        "updated_at",
        "deleted_at",
        "deleted",
        "virtual_size",
        "visibility",
        "is_public",
        "os_hidden",
        "os_hash_algo",
        "os_hash_value",
    ],
    needed: 15,
};
const PROPERTIES: Table =
    Table { name: "image_properties", columns: &["image_id", "name", "value", "deleted"], needed: 4 };
const MEMBERS: Table = Table {
    name: "image_members",
    columns: &["image_id", "member", "can_share", "created_at", "updated_at", "deleted", "status"],
    needed: 6,
};
const TAGS: Table = Table { name: "image_tags", columns: &["image_id", "value", "deleted"], needed: 3 };
const NAMESPACES: Table = Table {
    name: "metadef_namespaces",
    columns: &["id", "namespace", "display_name", "description", "visibility", "protected", "owner"],
    needed: 7,
};
const OBJECTS: Table = Table {
    name: "metadef_objects",
    columns: &["namespace_id", "name", "description", "required", "json_schema"],
    needed: 5,
};
const DEFINED: Table =
    Table { name: "metadef_properties", columns: &["namespace_id", "name", "json_schema"], needed: 3 };
const METADEF_TAGS: Table = Table { name: "metadef_tags", columns: &["namespace_id", "name"], needed: 2 };
const ASSOCIATIONS: Table = Table {
    name: "metadef_namespace_resource_types",
    columns: &["namespace_id", "prefix", "properties_target", "name"],
    needed: 3,
};
const LOCATIONS: Table = Table {
    name: "image_locations",
    columns: &["image_id", "value", "deleted", "meta_data", "status"],
    needed: 3,
};

/// Longest wait until all tables are open; nothing is read of them yet.
const OPEN_WAIT: Duration = Duration::from_secs(60);

/// An open look at the database of a Glance.
pub struct Glance {
    client: Object,
    images: Cursor,
    properties: Cursor,
    members: Cursor,
    tags: Cursor,
    locations: Cursor,
    definitions: Option<Definitions>,
}

/// The tables of metadata definitions.
struct Definitions {
    namespaces: Cursor,
    objects: Cursor,
    properties: Cursor,
    tags: Cursor,
    associations: Cursor,
}

impl Glance {
    /// Opens the database at `url`, whose tables lie in `schema`.
    ///
    /// # Errors
    /// `Unavailable`; `Internal` when the tables are not those of Glance, saying which are missing.
    pub async fn open(url: &SecretString, schema: &str) -> Result<Self> {
        // the URL says by `sslmode` whether the connection is encrypted: it is another server's than ours
        let tls = Tls::Prefer;
        let database = Database { url: Some(url.clone()), max_connections: 1, tls, ..Database::default() };
        let pool = pool::open(&database, Login::new(&database, &Notifications::default())?)?;
        let client = pool.get().await.map_err(|error| Failure::from(error).into_error())?;
        let opened = timeout(OPEN_WAIT, Self::declare(client, schema)).await;
        opened.map_err(|elapsed| Error::caused(ErrorKind::Unavailable, elapsed))?
    }

    async fn declare(client: Object, schema: &str) -> Result<Self> {
        begin(&client).await?;
        Ok(Self {
            images: Cursor::declare(&client, schema, &IMAGES).await?,
            properties: Cursor::declare(&client, schema, &PROPERTIES).await?,
            members: Cursor::declare(&client, schema, &MEMBERS).await?,
            tags: Cursor::declare(&client, schema, &TAGS).await?,
            locations: Cursor::declare(&client, schema, &LOCATIONS).await?,
            definitions: Definitions::declare(&client, schema).await?,
            client,
        })
    }

    /// The next images in order of id, at most `limit`, and fewer where they are large; none at the end.
    pub async fn images(&mut self, limit: usize) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < limit
            && bytes < PAGE_BYTES
            && let Some(image) = self.images.next(&self.client).await?
        {
            let id = image.text(IMAGES.columns[0]).unwrap_or_default().to_owned();
            let mut record = Record { image, ..Record::default() };
            for (cursor, rows) in [
                (&mut self.properties, &mut record.properties),
                (&mut self.members, &mut record.members),
                (&mut self.tags, &mut record.tags),
                (&mut self.locations, &mut record.locations),
            ] {
                record.overfull |= cursor.take_of(&self.client, &id, rows).await?;
                bytes += rows.iter().map(Row::weight).sum::<usize>();
            }
            records.push(record);
        }
        Ok(records)
    }

    /// The next namespace of metadata definitions; none at the end.
    pub async fn namespace(&mut self) -> Result<Option<NamespaceRecord>> {
        let Some(tables) = &mut self.definitions else { return Ok(None) };
        let Some(namespace) = tables.namespaces.next(&self.client).await? else { return Ok(None) };
        let id = namespace.text(NAMESPACES.columns[0]).unwrap_or_default().to_owned();
        let mut record = NamespaceRecord { namespace, ..NamespaceRecord::default() };
        for (cursor, rows) in [
            (&mut tables.objects, &mut record.objects),
            (&mut tables.properties, &mut record.properties),
            (&mut tables.tags, &mut record.tags),
            (&mut tables.associations, &mut record.associations),
        ] {
            record.overfull |= cursor.take_of(&self.client, &id, rows).await?;
        }
        Ok(Some(record))
    }
}

impl Definitions {
    /// None where this Glance is older than they are.
    async fn declare(client: &Client, schema: &str) -> Result<Option<Self>> {
        if columns(client, schema, NAMESPACES.name).await?.is_empty() {
            return Ok(None);
        }
        // the name of the type stands in a table of its own
        let types = format!("{}.metadef_resource_types", quoted(schema));
        let name =
            format!("(SELECT types.name FROM {types} AS types WHERE types.id = source.resource_type_id)");
        Ok(Some(Self {
            namespaces: Cursor::declare(client, schema, &NAMESPACES).await?,
            objects: Cursor::declare(client, schema, &OBJECTS).await?,
            properties: Cursor::declare(client, schema, &DEFINED).await?,
            tags: Cursor::declare(client, schema, &METADEF_TAGS).await?,
            associations: Cursor::declare_with(client, schema, &ASSOCIATIONS, &[("name", &name)]).await?,
        }))
    }
}

/// One moment, nothing written, instants in UTC; verifying may take hours between two pages.
async fn begin(client: &Client) -> Result<()> {
    for statement in [
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL idle_in_transaction_session_timeout = 0",
        "SET LOCAL datestyle = 'ISO, YMD'",
        "SET LOCAL timezone = 'UTC'",
    ] {
        client.batch_execute(statement).await.map_err(failed)?;
    }
    Ok(())
}

/// A walk over one table in order of image id.
struct Cursor {
    table: &'static Table,
    fetch: String,
    page: VecDeque<Row>,
    ended: bool,
}

impl Cursor {
    async fn declare(client: &Client, schema: &str, table: &'static Table) -> Result<Self> {
        Self::declare_with(client, schema, table, &[]).await
    }

    /// As [`Cursor::declare`], where some columns are the values of expressions.
    async fn declare_with(
        client: &Client,
        schema: &str,
        table: &'static Table,
        computed: &[(&str, &str)],
    ) -> Result<Self> {
        let known = columns(client, schema, table.name).await?;
        let missing: Vec<&str> =
            table.columns[..table.needed].iter().copied().filter(|column| !known.contains(*column)).collect();
        if !missing.is_empty() {
            let text = format!(
                "table {}.{} has no column {}: this is no database of Glance",
                schema,
                table.name,
                missing.join(", ")
            );
            return Err(Error::caused(ErrorKind::Internal, text));
        }
        let select = |column: &&str| match computed.iter().find(|(name, _)| name == column) {
            Some((_, expression)) => format!("{expression}::text"),
            None if known.contains(*column) => format!("source.{}::text", quoted(column)),
            None => "NULL::text".to_owned(),
        };
        let selected: Vec<String> = table.columns.iter().map(select).collect();
        // rows of one image in the order they were made, where the table tells
        let then = if known.contains("id") { ", source.id" } else { "" };
        let statement = format!(
            "DECLARE {name} NO SCROLL CURSOR FOR SELECT {} FROM {}.{name} AS source \
             ORDER BY (source.{}::text) COLLATE \"C\"{then}",
            selected.join(", "),
            quoted(schema),
            quoted(table.columns[0]),
            name = quoted(table.name),
        );
        client.batch_execute(&statement).await.map_err(failed)?;
        let fetch = format!("FETCH FORWARD {PAGE} FROM {}", quoted(table.name));
        Ok(Self { table, fetch, page: VecDeque::new(), ended: false })
    }

    /// Makes sure that the next row is at hand, if there is one.
    async fn fill(&mut self, client: &Client) -> Result<()> {
        if !self.page.is_empty() || self.ended {
            return Ok(());
        }
        let fetched = timeout(PAGE_WAIT, client.query(&self.fetch, &[])).await;
        let rows = fetched.map_err(|e| Error::caused(ErrorKind::Unavailable, e))?.map_err(failed)?;
        self.ended = rows.len() < PAGE;
        for row in rows {
            let values = (0..row.len()).map(|column| row.try_get(column)).collect::<Result<_, _>>();
            self.page.push_back(Row::new(self.table.columns, values.map_err(failed)?));
        }
        Ok(())
    }

    async fn next(&mut self, client: &Client) -> Result<Option<Row>> {
        self.fill(client).await?;
        Ok(self.page.pop_front())
    }

    /// Moves the rows of an image to `rows`, passing over those of images that are not there, and those that are deleted
    /// where nobody asks for them. Returns whether they were too many; all of them are thrown away then.
    async fn take_of(&mut self, client: &Client, id: &str, rows: &mut Vec<Row>) -> Result<bool> {
        let (mut overfull, mut bytes) = (false, 0);
        loop {
            self.fill(client).await?;
            let of = |row: &Row| row.text(self.table.columns[0]).map(str::to_owned);
            // a row without an image comes last
            match self.page.front().and_then(of) {
                Some(other) if other.as_str() < id => drop(self.page.pop_front()),
                Some(own) if own == id => {
                    let row = self.page.pop_front().unwrap_or_default();
                    if overfull || self.table.passes_over(&row) {
                        continue;
                    }
                    bytes += row.weight();
                    rows.push(row);
                    overfull = rows.len() > MOST_ROWS || bytes > MOST_BYTES;
                    if overfull {
                        *rows = Vec::new();
                    }
                }
                _ => return Ok(overfull),
            }
        }
    }
}

/// Names of the columns that may be read.
async fn columns(client: &Client, schema: &str, table: &str) -> Result<HashSet<String>> {
    let statement = "SELECT column_name::text FROM information_schema.columns \
                     WHERE table_schema = $1 AND table_name = $2";
    let rows = client.query(statement, &[&schema, &table]).await.map_err(failed)?;
    rows.iter().map(|row| row.try_get(0).map_err(failed)).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn failed(error: tokio_postgres::Error) -> Error {
    Failure::from(error).into_error()
}
