//! a replica that stands still for longer than its leases and then goes on.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Clients, PART, World, content, random, scaled, seed};
use crate::support::api::{OCTETS, OWNER, new_id};
use crate::support::s3::{Fault, FaultyS3};
use crate::support::server::{Server, Signal};

/// uploads of a frozen replica are given up by another one, and what the first still does later changes
/// nothing: neither a commit of its own nor a request that the store carries out late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_replica_is_fenced_out() {
    let mut random = random(seed("R-19"));
    let faulty = FaultyS3::start(|call| match call.operation {
        "PutObject" => Fault::Hold,
        _ => Fault::Pass,
    });
    let world = World::new().await;
    let mut config = world.config();
    // long beside what a busy machine may hold up a heartbeat, and the store's late answer
    config.jobs.lease = Duration::from_secs(scaled(6, 60));
    config.jobs.garbage_grace = Duration::from_secs(10);
    let other = Server::start(&config).await;
    let mut slow = config.clone();
    slow.stores.insert("main".to_owned(), world.bucket.store_at(&faulty.endpoint));
    slow.stores.get_mut("main").unwrap().part_size = config.stores["main"].part_size;
    let frozen = Server::start(&slow).await;
    let clients = Clients::new();

    // whole in the store's hands, in the middle of parts, just begun, and without a length
    let cases = [
        (100_000, 100_000, true),
        (2 * PART + 10, PART + 5, true),
        (100_000, 10, true),
        (2 * PART, PART + 1, false),
    ];
    let mut writers = Vec::new();
    for (size, sent, sized) in cases {
        let (id, data) = (new_id(), content(&mut random, size));
        let framing =
            if sized { format!("Content-Length: {size}") } else { "Transfer-Encoding: chunked".to_owned() };
        let head = format!(
            "POST /v1/images HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Auth-Token: {OWNER}\r\n\
             x-image-meta-id: {id}\r\nx-image-meta-disk_format: raw\r\nx-image-meta-container_format: bare\r\n\
             Content-Type: {OCTETS}\r\n{framing}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(frozen.api).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        if !sized {
            stream.write_all(format!("{size:x}\r\n").as_bytes()).await.unwrap();
        }
        stream.write_all(&data[..sent]).await.unwrap();
        clients.await_status(other.api, &id, &["saving"]).await;
        writers.push((stream, id, data, sent, sized));
    }
    crate::support::eventually("the store has the single request", async || {
        (faulty.count("PutObject") == 1).then_some(())
    })
    .await;
    frozen.signal(Signal::Stop);
    for (_, id, ..) in &writers {
        clients.await_status(other.api, id, &["killed"]).await;
    }
    faulty.release().await;
    frozen.signal(Signal::Cont);
    for (mut stream, id, data, sent, sized) in writers {
        let _ = stream.write_all(&data[sent..]).await;
        if !sized {
            let _ = stream.write_all(b"\r\n0\r\n\r\n").await;
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 20"), "{:?}", String::from_utf8_lossy(&answer));
        assert_eq!(clients.status(other.api, &id).await.as_deref(), Some("killed"));
    }
    world.assert_invariant(&[other.api, frozen.api], &clients).await;
    assert!(world.bucket.keys().await.is_empty());
}
