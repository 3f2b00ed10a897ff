//! Image data: throughput against the same store driven directly, hashing of one core, and memory.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use uuid::Uuid;
use vitrine::blobs::{Budget, ObjectWriter, Pushed, Store};
use vitrine::config::HashAlgorithm;
use vitrine::domain::digest::{Checksum, SecureHash};

use crate::stack::{Replica, Stack};
use crate::table::{Goal, Row, Table, mebibytes, median};
use crate::wire::{Connection, Length, Pattern};

const MIB: u64 = 1 << 20;

/// Throughput of one upload and one download.
pub async fn throughput(stack: &Stack, table: &mut Table, size: u64, runs: usize) -> anyhow::Result<()> {
    let hashes = hashes();
    let (replica, _) = stack.replica(&[]).await?;
    // volumes are made and connections opened before the clock runs
    direct(&stack.store, 64 * MIB).await?;
    api(&replica, 64 * MIB).await?;
    let (mut through, mut directly, mut busy) = (Vec::new(), Vec::new(), Duration::ZERO);
    for _ in 0..runs {
        directly.push(direct(&stack.store, size).await?);
        let before = replica.processor_time()?;
        through.push(api(&replica, size).await?);
        busy += replica.processor_time()? - before;
    }
    let rate = |times: &[[Duration; 2]], which: usize| {
        let seconds = median(times.iter().map(|time| time[which].as_secs_f64()).collect());
        size as f64 / MIB as f64 / seconds
    };
    let what = mebibytes(size);
    for (which, (name, least)) in [("upload", 0.8), ("download", 0.9)].into_iter().enumerate() {
        table.add(Row {
            figure: format!("{what} single-stream {name}"),
            value: rate(&through, which),
            unit: "MiB/s",
            limit: Some(("same S3 server directly, 16 MiB parts, 4 in flight", rate(&directly, which))),
            goal: Goal::ShareOfLimit(least),
        });
    }
    for (name, rate) in hashes {
        table.note(format!("hashing on one core, {name}: {rate:.0} MiB/s"));
    }
    let spent = busy.as_secs_f64() / runs as f64;
    table.note(format!("processor time of the replica for one {what} up and down: {spent:.1} s"));
    Ok(())
}

/// Speed of the digests on one core: the limit of an upload, as each hash needs its data in order.
fn hashes() -> Vec<(&'static str, f64)> {
    let data: Vec<u8> = (0..16 * MIB).map(|n| ((n * 31) >> 3) as u8).collect();
    let speed = |update: &mut dyn FnMut(&[u8])| {
        let times = (0..5).map(|_| {
            let begun = Instant::now();
            (0..8).for_each(|_| update(&data));
            begun.elapsed().as_secs_f64()
        });
        128.0 / median(times.collect())
    };
    let mut checksum = Checksum::default();
    let mut sha256 = SecureHash::new(HashAlgorithm::Sha256);
    let mut sha512 = SecureHash::new(HashAlgorithm::Sha512);
    vec![
        ("MD5 (checksum)", speed(&mut |data| checksum.update(data))),
        ("SHA-512 (os_hash_value)", speed(&mut |data| sha512.update(data))),
        ("SHA-256 (signature of a part, plain HTTP only)", speed(&mut |data| sha256.update(data))),
    ]
}

/// Writes and reads an object without the service, with the client the service uses. Gives both times.
async fn direct(store: &Store, size: u64) -> anyhow::Result<[Duration; 2]> {
    let key = format!("direct/{}", Uuid::new_v4());
    let begun = Instant::now();
    let budget = Budget::new(512 * MIB, 4);
    let admission = budget.admit(store.layout(Some(size))?).await?;
    let mut writer = ObjectWriter::new(store, &key, admission);
    let frame = Bytes::copy_from_slice(Pattern::new().next());
    let mut left = size;
    while left > 0 {
        let mut piece = frame.slice(..frame.len().min(usize::try_from(left)?));
        left -= piece.len() as u64;
        while writer.push(&mut piece).await? == Pushed::PartFull {
            if !writer.is_multipart() {
                writer.begin_multipart().await?;
            }
            writer.send_part().await?;
        }
    }
    writer.send_last().await?;
    let written = writer.finish().await?;
    let up = begun.elapsed();

    let begun = Instant::now();
    let mut reader = store.read(&key, Some(&written.etag), size, 0..size).await?;
    let mut read = 0;
    while let Some(frame) = reader.next().await {
        read += frame?.len() as u64;
    }
    let down = begun.elapsed();
    ensure!(read == size, "read {read} of {size} bytes");
    store.remove(&key, None).await?;
    Ok([up, down])
}

/// Uploads and downloads an image. Gives both times.
async fn api(replica: &Replica, size: u64) -> anyhow::Result<[Duration; 2]> {
    let id = Uuid::new_v4();
    let mut connection = Connection::open(replica.api).await?;
    let begun = Instant::now();
    upload(&mut connection, id, size, Length::Known, false).await?;
    let up = begun.elapsed();
    let begun = Instant::now();
    download(&mut connection, id, size, false).await?;
    let down = begun.elapsed();
    delete(&mut connection, id).await?;
    Ok([up, down])
}

async fn upload(
    connection: &mut Connection,
    id: Uuid,
    size: u64,
    length: Length,
    hash: bool,
) -> anyhow::Result<String> {
    let head = format!(
        "POST /v1/images HTTP/1.1\r\nHost: bench\r\nX-Image-Meta-Id: {id}\r\nX-Image-Meta-Name: bench\r\n\
         X-Image-Meta-Disk_format: raw\r\nX-Image-Meta-Container_format: bare\r\n\
         Content-Type: application/octet-stream\r\n"
    );
    let (status, sha512) = connection.send(&head, size, length, hash).await?;
    ensure!(status == 201, "upload: status {status}");
    Ok(sha512)
}

async fn download(connection: &mut Connection, id: Uuid, size: u64, hash: bool) -> anyhow::Result<String> {
    let request = format!("GET /v1/images/{id} HTTP/1.1\r\nHost: bench\r\n\r\n");
    connection.receive(&request, size, hash).await
}

async fn delete(connection: &mut Connection, id: Uuid) -> anyhow::Result<()> {
    let status = connection.ask(&format!("DELETE /v1/images/{id} HTTP/1.1\r\nHost: bench\r\n\r\n")).await?;
    ensure!(status == 200, "delete: status {status}");
    Ok(())
}

/// Most memory of a replica in one large upload of unknown length with its download, and in many uploads at a time.
pub async fn memory(stack: &mut Stack, table: &mut Table, large: u64, each: u64) -> anyhow::Result<()> {
    let database = stack.database().await?;
    let id = Uuid::new_v4();
    let (replica, _) = stack.replica(&[]).await?;
    let mut connection = Connection::open(replica.api).await?;
    eprintln!("bench: {} chunked upload", mebibytes(large));
    let sent = upload(&mut connection, id, large, Length::Chunked, true).await?;
    let after_upload = replica.peak_memory()?;
    eprintln!("bench: its download");
    let received = download(&mut connection, id, large, true).await?;
    let after_download = replica.peak_memory()?;
    let recorded = database.query_one("SELECT os_hash_value FROM images WHERE id = $1", &[&id]).await?;
    let recorded: Option<String> = recorded.try_get(0)?;
    ensure!(sent == received, "the download differs from what was sent");
    ensure!(recorded.as_deref() == Some(&sent), "the recorded hash differs from what was sent");
    delete(&mut connection, id).await?;
    drop((connection, replica));

    let limit = stack.config.data.memory_budget.0 + 128 * MIB;
    let (replica, _) = stack.replica(&[]).await?;
    eprintln!("bench: 16 concurrent uploads of {}", mebibytes(each));
    let begun = Instant::now();
    let uploads = (0..16).map(|_| async {
        let mut connection = Connection::open(replica.api).await?;
        let id = Uuid::new_v4();
        upload(&mut connection, id, each, Length::Known, false).await?;
        delete(&mut connection, id).await
    });
    try_join_all(uploads).await.context("concurrent uploads")?;
    let rate = 16.0 * each as f64 / MIB as f64 / begun.elapsed().as_secs_f64();
    let many = replica.peak_memory()?;

    let row = |figure: String, bytes: u64, limit: u64| Row {
        figure,
        value: bytes as f64 / MIB as f64,
        unit: "MiB",
        limit: None,
        goal: Goal::AtMost(limit as f64 / MIB as f64),
    };
    let what = mebibytes(large);
    table.add(row(format!("memory, {what} upload of unknown length"), after_upload, 256 * MIB));
    table.add(row("memory, with its download".to_owned(), after_download, 256 * MIB));
    table.add(row(format!("memory, 16 concurrent uploads of {}", mebibytes(each)), many, limit));
    table.note(format!("sha512 sent = received = recorded: {sent}"));
    table.note(format!("16 concurrent uploads together: {rate:.0} MiB/s"));
    Ok(())
}
