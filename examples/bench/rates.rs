//! Requests per second and latency with 16 kept connections, next to what PostgreSQL gives alone; start and idle
//! memory.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use tokio_postgres::Client;
use uuid::Uuid;
use vitrine::catalog::Catalog;
use vitrine::domain::caller::Caller;
use vitrine::http::v1::query;

use crate::stack::{Replica, Stack};
use crate::table::{Goal, Row, Table, median};
use crate::wire::Connection;

const CONNECTIONS: usize = 16;
const TENANT: &str = "project-7";
const PAGE: &str = "limit=25";

/// 100,000 images of 1,000 projects, one in fifty public, some shared with the tenant.
const SEED: &str = "
    INSERT INTO images (id, owner, name, status, visibility, os_hidden, protected, disk_format, container_format,
      min_disk, min_ram, size, checksum, os_hash_algo, os_hash_value, properties, created_at, updated_at)
    SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'project-' || n % 1000, 'image-' || n,
      'active', (CASE WHEN n % 50 = 0 THEN 'public' WHEN n % 2 = 0 THEN 'shared' ELSE 'private' END)::image_visibility,
      false, false, 'qcow2', 'bare', n % 3, 512 * (n % 4), n * 1000, md5(n::text), 'sha512',
      md5(n::text) || md5((n + 1)::text), jsonb_build_object('os_distro', 'debian', 'build', 'b' || n % 20000),
      now() - n * interval '5 minutes', now() - n * interval '5 minutes'
    FROM generate_series(1, 100000) AS n;
    INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at)
    SELECT id, 'project-7', false, 'accepted', now(), now() FROM images WHERE visibility = 'shared' AND
      owner <> 'project-7' ORDER BY md5(id::text) LIMIT 50;
    VACUUM ANALYZE images; VACUUM ANALYZE image_members;";

pub struct Rate {
    pub per_second: f64,
    p50: Duration,
    p99: Duration,
}

/// Runs every worker again and again for `time`, after a fifth of it to warm up.
async fn rate(workers: Vec<impl AsyncFnMut() -> anyhow::Result<()>>, time: Duration) -> anyhow::Result<Rate> {
    let begun = Instant::now();
    let counted = begun + time / 5;
    let end = counted + time;
    let worked = workers.into_iter().map(|mut work| async move {
        let mut latencies = Vec::new();
        loop {
            let before = Instant::now();
            work().await?;
            let after = Instant::now();
            if after > end {
                return anyhow::Ok(latencies);
            }
            if before >= counted {
                latencies.push(after - before);
            }
        }
    });
    let mut latencies = try_join_all(worked).await?.concat();
    latencies.sort();
    let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied();
    Ok(Rate {
        per_second: latencies.len() as f64 / time.as_secs_f64(),
        p50: at(0.5).context("nothing was measured")?,
        p99: at(0.99).context("nothing was measured")?,
    })
}

/// HEAD, list, create and delete.
pub async fn rates(stack: &mut Stack, table: &mut Table, time: Duration) -> anyhow::Result<()> {
    eprintln!("bench: making 100,000 images");
    stack.database().await?.batch_execute(SEED.split_once("VACUUM").context("seed")?.0).await?;
    stack.database().await?.execute("VACUUM ANALYZE images", &[]).await?;
    stack.database().await?.execute("VACUUM ANALYZE image_members", &[]).await?;
    let (replica, _) = stack.replica(&[]).await?;

    let ping = database(stack, time, "SELECT 1", |client, statement| async move {
        client.query_one(statement, &[]).await?;
        Ok(())
    })
    .await?;
    let front =
        requests(&replica, time, |_| "GET /healthcheck HTTP/1.1\r\nHost: bench\r\n\r\n".to_owned()).await?;
    add(table, "GET /healthcheck (HTTP alone)", &front, None);

    let select = "SELECT * FROM images WHERE id = $1";
    let point = database(stack, time, select, |client, statement| async move {
        let id = public_image(rand::random::<u32>() as usize);
        client.query_one(statement, &[&id]).await?;
        Ok(())
    })
    .await?;
    let head = requests(&replica, time, |_| {
        as_tenant("HEAD", &format!("/v1/images/{}", public_image(rand::random::<u32>() as usize)))
    })
    .await?;
    add(table, "HEAD by id", &head, Some(("point SELECT by id in PostgreSQL", point.per_second)));

    let alone = list_alone(stack, time).await?;
    let list = requests(&replica, time, |_| as_tenant("GET", &format!("/v1/images?{PAGE}"))).await?;
    add(table, "list of 25 of 100,000, tenant", &list, Some(("its statement alone", alone.per_second)));
    let detail = requests(&replica, time, |_| as_tenant("GET", &format!("/v1/images/detail?{PAGE}"))).await?;
    add(table, "detailed list, the same", &detail, Some(("its statement alone", alone.per_second)));

    let written = write_alone(stack, time).await?;
    let created = create_and_delete(&replica, time).await?;
    add(
        table,
        "create + delete",
        &created,
        Some(("one-row transactions INSERT and UPDATE in PostgreSQL", written.per_second)),
    );
    table.note(format!("SELECT 1 in PostgreSQL: {:.0} /s", ping.per_second));
    Ok(())
}

pub fn add(table: &mut Table, name: &str, rate: &Rate, limit: Option<(&'static str, f64)>) {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let (p50, p99) = (millis(rate.p50), millis(rate.p99));
    let figure = format!("{name} (p50 {p50:.1} ms, p99 {p99:.1} ms)");
    table.add(Row { figure, value: rate.per_second, unit: "/s", limit, goal: Goal::None });
}

fn public_image(n: usize) -> Uuid {
    let number = (n % 2000 + 1) * 50;
    // the decimal digits of the number stand where hexadecimal ones are expected
    let digits = u128::from_str_radix(&number.to_string(), 16).unwrap_or_default();
    Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 | digits)
}

fn as_tenant(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nX-Auth-Token: bench:{TENANT}:member\r\n\r\n")
}

/// Rate of one kind of request.
pub async fn requests(
    replica: &Replica,
    time: Duration,
    make: impl Fn(usize) -> String,
) -> anyhow::Result<Rate> {
    let mut workers = Vec::new();
    for n in 0..CONNECTIONS {
        let mut connection = Connection::open(replica.api).await?;
        let make = &make;
        workers.push(async move || {
            let status = connection.ask(&make(n)).await?;
            ensure!(status == 200, "status {status}");
            Ok(())
        });
    }
    rate(workers, time).await
}

/// Rate of one prepared statement, each connection being one worker.
async fn database<'a, F>(
    stack: &mut Stack,
    time: Duration,
    sql: &str,
    run: impl Fn(&'a Client, &'a tokio_postgres::Statement) -> F,
) -> anyhow::Result<Rate>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut workers = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = stack.database().await?;
        let statement = client.prepare(sql).await?;
        // for as long as the program runs, which is not long
        let (client, statement): (&'a Client, &'a _) =
            (Box::leak(Box::new(client)), Box::leak(Box::new(statement)));
        let run = &run;
        workers.push(async move || run(client, statement).await);
    }
    rate(workers, time).await
}

/// The statement of the list, sent and read by the catalog, without anything above it.
async fn list_alone(stack: &Stack, time: Duration) -> anyhow::Result<Rate> {
    let catalog = Catalog::new(&stack.config.database)?;
    let caller = Caller {
        user: Some("bench".to_owned()),
        project: Some(TENANT.to_owned()),
        roles: vec!["member".to_owned()],
        ..Caller::default()
    };
    let query = query::parse(PAGE, &caller, &stack.config.limits)?;
    let worker = |_| {
        let (catalog, query) = (&catalog, &query);
        async move || {
            let images = catalog.list_images(query).await?;
            ensure!(images.len() == 25, "{} images", images.len());
            Ok(())
        }
    };
    rate((0..CONNECTIONS).map(worker).collect(), time).await
}

/// A row made and marked deleted, in two transactions.
async fn write_alone(stack: &mut Stack, time: Duration) -> anyhow::Result<Rate> {
    const INSERT: &str =
        "INSERT INTO images (id, owner, name, status, visibility, os_hidden, protected, disk_format,
        container_format, min_disk, min_ram, created_at, updated_at)
        VALUES ($1, 'bench', 'bench', 'queued', 'private', false, false, 'raw', 'bare', 0, 0, now(), now())";
    const DELETE: &str = "UPDATE images SET status = 'deleted', deleted_at = now() WHERE id = $1";
    let mut workers = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = stack.database().await?;
        let (insert, delete) = (client.prepare(INSERT).await?, client.prepare(DELETE).await?);
        workers.push(async move || {
            let id = Uuid::new_v4();
            client.execute(&insert, &[&id]).await?;
            client.execute(&delete, &[&id]).await?;
            Ok(())
        });
    }
    rate(workers, time).await
}

async fn create_and_delete(replica: &Replica, time: Duration) -> anyhow::Result<Rate> {
    let mut workers = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(replica.api).await?;
        workers.push(async move || {
            let id = Uuid::new_v4();
            let create = format!(
                "POST /v1/images HTTP/1.1\r\nHost: bench\r\nX-Auth-Token: bench:{TENANT}:member\r\n\
                 X-Image-Meta-Id: {id}\r\nX-Image-Meta-Name: bench\r\nX-Image-Meta-Disk_format: raw\r\n\
                 X-Image-Meta-Container_format: bare\r\nContent-Length: 0\r\n\r\n"
            );
            let status = connection.ask(&create).await?;
            ensure!(status == 201, "create: status {status}");
            let status = connection.ask(&as_tenant("DELETE", &format!("/v1/images/{id}"))).await?;
            ensure!(status == 200, "delete: status {status}");
            Ok(())
        });
    }
    rate(workers, time).await
}

/// Time from the start of the process to ready, and memory of a replica at rest.
pub async fn start(stack: &Stack, table: &mut Table) -> anyhow::Result<()> {
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let (replica, time) = stack.replica(&[]).await?;
        times.push(time.as_secs_f64() * 1e3);
        // the first rounds of probes and sweeps belong to a replica at rest
        tokio::time::sleep(Duration::from_secs(3)).await;
        memory.push(replica.memory()? as f64 / f64::from(1 << 20));
    }
    let row = |figure: &str, values, unit, most| Row {
        figure: figure.to_owned(),
        value: median(values),
        unit,
        limit: None,
        goal: Goal::AtMost(most),
    };
    table.add(row("start to ready, migrated database", times, "ms", 200.0));
    table.add(row("memory at rest", memory, "MiB", 40.0));
    Ok(())
}
