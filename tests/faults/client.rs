//! A39, A40, A47: clients that leave, crawl, send too much, or change their mind.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join;
use futures_util::{StreamExt, stream};
use rand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vitrine::config::units::ByteSize;

use super::{Clients, Kept, MIB, Outcome, PART, assert_invariant, content, hasten, random, scaled, seed};
use crate::support::api::{OCTETS, OWNER, Service, new_id};
use crate::support::eventually;

async fn assert_settled(service: &Service, clients: &Clients) {
    assert_invariant(&service.database.config(), &service.bucket, &[service.address], clients).await;
    assert_permits_are_back(service).await;
}

async fn assert_permits_are_back(service: &Service) {
    let all = service.flows.config.data.memory_budget.0;
    eventually("all part memory is free", async || (service.flows.budget.free() == all).then_some(())).await;
}

/// Begins an upload of `length` bytes to a new image and sends the first of them.
pub async fn begin(to: SocketAddr, id: &str, length: Option<usize>, first: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let framing =
        length.map_or("Transfer-Encoding: chunked".to_owned(), |length| format!("Content-Length: {length}"));
    let head = format!(
        "POST /v1/images HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nX-Auth-Token: {OWNER}\r\n\
         x-image-meta-id: {id}\r\nx-image-meta-disk_format: raw\r\nx-image-meta-container_format: bare\r\n\
         Content-Type: {OCTETS}\r\n{framing}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(first).await.unwrap();
    stream
}

/// the connection ends after any number of bytes. The lease is long, so that nothing but the flow itself can
/// have noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_kills_its_image_at_once() {
    let mut random = random(seed("R-03"));
    let service = Service::start_with(|config| {
        hasten(config);
        config.jobs.lease = Duration::from_secs(600);
    })
    .await;
    let clients = Clients::new();
    let length = 2 * PART + 300_000;
    let data = content(&mut random, length);
    let mut offsets =
        vec![0, 1, PART - 1, PART, PART + 1, 2 * PART - 1, 2 * PART, 2 * PART + 1, length - 1, length];
    offsets.resize_with(scaled(28, 200), || random.random_range(0..=length));
    let single: Vec<usize> = (0..scaled(8, 40)).map(|_| random.random_range(0..=100_000)).collect();
    let cases = offsets.into_iter().map(|at| (length, at)).chain(single.into_iter().map(|at| (100_000, at)));
    // the last byte of an object that is one request: the request may be on its way when the client leaves
    let cases = cases.chain((0..scaled(10, 50)).map(|_| (100_000, 100_000)));
    let (service_ref, clients_ref, data) = (&service, &clients, &data);
    stream::iter(cases)
        .for_each_concurrent(6, |(length, at)| async move {
            let id = new_id();
            let stream = begin(service_ref.address, &id, Some(length), &data[..at]).await;
            clients_ref.await_status(service_ref.address, &id, &["saving", "active", "killed"]).await;
            drop(stream);
            // whoever has sent everything may find it stored
            let states: &[&str] = if at == length { &["killed", "active"] } else { &["killed"] };
            if clients_ref.await_status(service_ref.address, &id, states).await == "active" {
                clients_ref.keep(Kept::new(&id, &data[..length]));
            }
        })
        .await;
    assert_settled(&service, &clients).await;
}

/// A39: an upload of unknown length ends at the cap and at the quota, and leaves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_is_refused_and_leaves_no_trace() {
    let mut random = random(seed("A39"));
    for (cap, quota) in [(7 * MIB, 0), (100 * MIB, 7 * MIB)] {
        let service = Service::start_with(|config| {
            hasten(config);
            config.limits.image_size_cap = ByteSize(cap as u64);
            config.limits.user_storage_quota = ByteSize(quota as u64);
        })
        .await;
        let clients = Clients::new();
        let fits = content(&mut random, 100_000);
        assert_eq!(clients.upload(service.address, &fits).await, Outcome::Kept);
        for size in [7 * MIB + 1, 11 * MIB, 12 * MIB + 1] {
            let data = content(&mut random, size);
            let id = new_id();
            let request = service.post("/v1/images").by(OWNER).meta("id", &id).meta("disk_format", "raw");
            let answer = request.meta("container_format", "bare").chunked(&data).send().await;
            assert_eq!(answer.status, 413, "{size} of cap {cap}, quota {quota}: {}", answer.text());
            clients.await_status(service.address, &id, &["killed"]).await;
        }
        assert_settled(&service, &clients).await;
        assert_eq!(service.bucket.keys().await.len(), 1);
    }
}

/// A40, R-21: a delete meets an upload anywhere. Either both succeed in turn or the upload loses; nothing stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_that_races_an_upload_wins() {
    let seed = seed("A40");
    let service = Service::start_with(hasten).await;
    let clients = Clients::new();
    let (service_ref, clients_ref) = (&service, &clients);
    stream::iter(0..scaled(60, 2000))
        .for_each_concurrent(6, |number| async move {
            let mut random = random(seed.wrapping_add(number));
            let size =
                if random.random_ratio(1, 6) { PART + 70_000 } else { random.random_range(1..200_000) };
            let data = content(&mut random, size);
            let id = new_id();
            let pause = Duration::from_micros(random.random_range(0..60_000));
            let upload = clients_ref.upload_as(service_ref.address, &id, &data, random.random());
            let delete = async {
                eventually("the image is there", async || clients_ref.status(service_ref.address, &id).await)
                    .await;
                tokio::time::sleep(pause).await;
                // a delete that was judged against a record that keeps changing is to be sent again
                let path = format!("/v1/images/{id}");
                while clients_ref.ask("DELETE", service_ref.address, &path).await == Some(409) {}
            };
            let (outcome, ()) = join(upload, delete).await;
            clients_ref.forget(&id);
            let fair = match &outcome {
                Outcome::Kept | Outcome::Lost => true,
                Outcome::Refused { status, .. } => [404, 409, 410, 412].contains(status),
            };
            assert!(fair, "{outcome:?}");
            assert_eq!(clients_ref.status(service_ref.address, &id).await.as_deref(), Some("deleted"));
        })
        .await;
    assert_settled(&service, &clients).await;
    assert!(service.bucket.keys().await.is_empty());
}

/// A40: what is being written counts until it is gone, and its writer stops when its image is deleted.
#[tokio::test]
async fn the_writer_of_a_deleted_image_stops_and_its_bytes_are_free_again() {
    let mut random = random(seed("A40 usage"));
    let service = Service::start_with(|config| {
        hasten(config);
        config.limits.user_storage_quota = ByteSize(20 * MIB as u64);
    })
    .await;
    let clients = Clients::new();
    let data = content(&mut random, 16 * MIB);
    let small = content(&mut random, 5 * MIB);
    let id = new_id();
    let mut writer = begin(service.address, &id, Some(data.len()), &data[..PART]).await;
    clients.await_status(service.address, &id, &["saving"]).await;
    let refused = clients.upload(service.address, &small).await;
    assert!(matches!(refused, Outcome::Refused { status: 413, .. } | Outcome::Lost), "{refused:?}");
    assert_eq!(clients.ask("DELETE", service.address, &format!("/v1/images/{id}")).await, Some(200));
    // the rest is not sent: the writer hears of the delete from its heartbeat
    let mut answer = Vec::new();
    let _ = writer.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 412") || answer.starts_with(b"HTTP/1.1 410"), "{answer:?}");
    assert_permits_are_back(&service).await;
    eventually("the bytes of the deleted image are free again", async || {
        (clients.upload(service.address, &small).await == Outcome::Kept).then_some(())
    })
    .await;
    assert_settled(&service, &clients).await;
}

/// A47: bodies that stand still and readers that do not read give back what they hold; others notice nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_clients_are_let_go() {
    let mut random = random(seed("A47"));
    let service = Service::start_with(|config| {
        hasten(config);
        config.server.idle_timeout = Duration::from_secs(1);
        // idle uploads hold all of it
        config.data.memory_budget = ByteSize(20 * MIB as u64);
    })
    .await;
    let clients = Clients::new();
    // more than the buffers of two sockets hold
    let large = content(&mut random, 40 * MIB);
    let read = new_id();
    assert_eq!(clients.upload_as(service.address, &read, &large, true).await, Outcome::Kept);

    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        let head = format!(
            "GET /v1/images/{read} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Auth-Token: {OWNER}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        readers.push(stream);
    }
    let mut writers = Vec::new();
    for at in [0, 1, 70_000] {
        let id = new_id();
        writers.push((begin(service.address, &id, Some(12 * MIB), &large[..at]).await, id));
    }
    // waits until the idle ones are let go
    assert_eq!(clients.upload(service.address, &large.slice(..11 * MIB)).await, Outcome::Kept);
    for (mut stream, id) in writers {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.starts_with(b"HTTP/1.1 400"), "{:?}", String::from_utf8_lossy(&answer));
        clients.await_status(service.address, &id, &["killed"]).await;
    }
    for mut stream in readers {
        // nothing is read before the server has given up, which the first bytes after that must not hide
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.len() < large.len(), "an idle reader was served to the end");
    }
    assert_settled(&service, &clients).await;
}
