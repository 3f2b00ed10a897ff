//! an object store that fails, lies, and goes silent.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join;
use futures_util::{StreamExt, stream};
use rand::Rng;
use rand::rngs::StdRng;
use vitrine::config::units::ByteSize;

use super::client::begin;
use super::{
    Clients, Kept, MIB, Outcome, PART, World, assert_invariant, content, full, hasten, random, scaled, seed,
};
use crate::support::api::{Service, new_id};
use crate::support::chaos::ChaosProxy;
use crate::support::eventually;
use crate::support::s3::{Call, Fault, FaultyS3};

/// A service whose store is reached at another endpoint.
async fn service_at(endpoint: &str) -> Service {
    let world = World::new().await;
    let mut config = world.config();
    config.stores.insert("main".to_owned(), world.bucket.store_at(endpoint));
    hasten(&mut config);
    config.jobs.lease = Duration::from_secs(30);
    Service::start_over(world.database, world.bucket, config).await
}

async fn assert_settled(service: &Service, clients: &Clients) {
    assert_invariant(&service.database.config(), &service.bucket, &[service.address], clients).await;
}

/// The mix of R-06.
fn mixed(random: &mut StdRng, call: &Call) -> Fault {
    match random.random_range(0..100) {
        0..2 => Fault::InternalError,
        2..5 => Fault::SlowDown,
        5..7 => Fault::Reset,
        7 => Fault::Truncate(random.random_range(0..50_000)),
        8 if call.operation == "CompleteMultipartUpload" => Fault::ErrorInOk,
        9 => Fault::LoseAnswer,
        _ => Fault::Pass,
    }
}

/// one call in ten fails in one way or another. Clients notice at most one in a thousand, and never a wrong
/// byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_one_call_in_ten_is_not_noticed() {
    let seed = seed("R-06");
    // A call that fails four times in a row is given up, one in ten thousand. Among so few operations as a small
    // run has, that would be a failure by chance, so there nothing fails more than three times.
    let failures = Mutex::new(HashMap::<String, usize>::new());
    let most = if full() { usize::MAX } else { 3 };
    let faulty = FaultyS3::start(move |call| {
        let fault = mixed(&mut random(seed.rotate_left(32) ^ call.number), call);
        let mut failures = failures.lock().unwrap();
        let failed = failures.entry(format!("{} {}", call.operation, call.target)).or_default();
        *failed = if fault == Fault::Pass { 0 } else { *failed + 1 };
        if *failed > most { Fault::Pass } else { fault }
    });
    let service = service_at(&faulty.endpoint).await;
    let clients = Clients::new();
    let operations = scaled(60, 1000);
    let failed = AtomicUsize::new(0);
    let (service_ref, clients_ref, failed_ref) = (&service, &clients, &failed);
    stream::iter(0..operations)
        .for_each_concurrent(6, |number: u64| async move {
            let mut random = random(seed.wrapping_add(number));
            let size =
                if number.is_multiple_of(5) { PART + 6 * MIB } else { random.random_range(1..300_000) };
            let (id, data) = (new_id(), content(&mut random, size));
            let outcome = clients_ref.upload_as(service_ref.address, &id, &data, random.random()).await;
            if outcome != Outcome::Kept {
                println!("R-06: upload {number}: {outcome:?}");
                assert!(matches!(outcome, Outcome::Refused { status: 503, .. }), "{outcome:?}");
                failed_ref.fetch_add(1, Ordering::Relaxed);
            }
        })
        .await;
    let kept = clients.kept();
    stream::iter(0..operations as usize)
        .for_each_concurrent(6, |number| {
            let kept = &kept[number % kept.len()];
            async move {
                match clients_ref.download(service_ref.address, &kept.id).await {
                    Ok(data) => assert!(kept.is(&data), "wrong bytes of {kept:?}"),
                    Err(error) => {
                        println!("R-06: download {number}: {error}");
                        failed_ref.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        })
        .await;
    let (failed, operations) = (failed.into_inner(), 2 * operations as usize);
    let faults = faulty.calls().iter().filter(|(_, fault)| *fault != Fault::Pass).count();
    println!("R-06: {faults} faults in {} calls; {failed} of {operations} failed", faulty.calls().len());
    assert!(faults > 0 && failed * 1000 <= operations, "{failed} of {operations} failed");
    // the last look is not to fail by chance either
    let clean = Clients::new();
    for kept in clients.kept() {
        clean.keep(kept);
    }
    settle_over_faults(&service, &clean).await;
}

/// As `assert_settled`, where a download may fail by chance and is then repeated.
async fn settle_over_faults(service: &Service, clients: &Clients) {
    let kept = clients.kept();
    for one in &kept {
        let data = eventually("the image can be read", async || {
            clients.download(service.address, &one.id).await.ok()
        });
        assert!(one.is(&data.await), "{one:?}");
        clients.forget(&one.id);
    }
    assert_settled(service, clients).await;
}

/// the store swallows everything for a while. Nobody waits for ever, nothing is held for ever, and then it
/// goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_holds_nobody_for_ever() {
    let seed = seed("R-07");
    let mut random = random(seed);
    let world = World::new().await;
    let proxy = ChaosProxy::start(world.bucket.address(), seed).await;
    let mut config = world.config();
    let endpoint = format!("http://{}", proxy.address);
    config.stores.insert("main".to_owned(), world.bucket.store_at(&endpoint));
    hasten(&mut config);
    config.jobs.lease = Duration::from_secs(30);
    config.data.memory_budget = ByteSize(40 * MIB as u64);
    let service = Service::start_over(world.database, world.bucket, config).await;
    let clients = Clients::new();
    let before = content(&mut random, 2 * PART);
    assert_eq!(clients.upload(service.address, &before).await, Outcome::Kept);
    let all = 40 * MIB as u64;

    proxy.pause();
    let (small, large) = (content(&mut random, 50_000), content(&mut random, 2 * PART + 7));
    let patient = async {
        futures_util::join!(clients.upload(service.address, &small), clients.upload(service.address, &large))
    };
    let leaving = async {
        // before they have sent everything: whoever has may be waiting for an answer
        let mut streams = Vec::new();
        let ids = [new_id(), new_id()];
        for (id, sent) in ids.iter().zip([10, PART + 3]) {
            streams.push(begin(service.address, id, Some(large.len()), &large[..sent]).await);
            clients.await_status(service.address, id, &["saving"]).await;
        }
        assert!(service.flows.budget.free() < all);
        drop(streams);
        // the other one's writer waits for the store and hears of it afterwards
        clients.await_status(service.address, &ids[0], &["killed"]).await;
        ids
    };
    let hole = async {
        let ids = leaving.await;
        tokio::time::sleep(Duration::from_secs(scaled(2, 60))).await;
        proxy.restore();
        for id in &ids {
            clients.await_status(service.address, id, &["killed"]).await;
        }
    };
    let ((one, two), ()) = join(patient, hole).await;
    for outcome in [one, two] {
        let ended = outcome == Outcome::Kept
            || matches!(outcome, Outcome::Refused { status: 503, retry_after: true });
        assert!(ended, "{outcome:?}");
    }
    assert_eq!(clients.upload(service.address, &large).await, Outcome::Kept);
    eventually("all part memory is free", async || (service.flows.budget.free() == all).then_some(())).await;
    assert_settled(&service, &clients).await;
}

/// answers with image data break off at any byte. The client gets all of it, or a connection that breaks;
/// never an answer that looks whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_read_is_resumed_or_breaks_the_answer() {
    let seed = seed("R-09");
    let broken = std::sync::Arc::new(AtomicUsize::new(0));
    let one_in = std::sync::Arc::new(AtomicUsize::new(usize::MAX));
    let size = 3 * MIB;
    let faulty = {
        let (broken, one_in) = (broken.clone(), one_in.clone());
        FaultyS3::start(move |call| {
            let mut random = random(seed ^ call.number);
            let one_in = one_in.load(Ordering::Relaxed);
            if call.operation != "GetObject"
                || !random.random_ratio(1, u32::try_from(one_in).unwrap_or(u32::MAX))
            {
                return Fault::Pass;
            }
            broken.fetch_add(1, Ordering::Relaxed);
            Fault::Truncate(if one_in == 1 { 0 } else { random.random_range(0..size) })
        })
    };
    let service = service_at(&faulty.endpoint).await;
    let clients = Clients::new();
    let data = content(&mut random(seed), size);
    let kept = Kept::new(&new_id(), &data);
    assert_eq!(clients.upload_as(service.address, &kept.id, &data, true).await, Outcome::Kept);

    one_in.store(2, Ordering::Relaxed);
    let read = AtomicUsize::new(0);
    let (service_ref, clients_ref, kept_ref, read_ref) = (&service, &clients, &kept, &read);
    stream::iter(0..scaled(40, 500))
        .for_each_concurrent(4, |_| async move {
            if let Ok(data) = clients_ref.download(service_ref.address, &kept_ref.id).await {
                assert!(
                    kept_ref.is(&data),
                    "{} of {} bytes, and the answer looks whole",
                    data.len(),
                    kept_ref.size
                );
                read_ref.fetch_add(1, Ordering::Relaxed);
            }
        })
        .await;
    let (broken_then, read) = (broken.load(Ordering::Relaxed), read.into_inner());
    println!("R-09: {read} of {} read over {broken_then} breaks", scaled(40, 500));
    assert!(
        broken_then > 0 && read > scaled(40, 500) / 2,
        "{read} downloads succeeded over {broken_then} breaks"
    );

    // a store that gives nothing but heads ends in a broken answer
    one_in.store(1, Ordering::Relaxed);
    for _ in 0..scaled(3, 50) {
        let answer = clients.download(service.address, &kept.id).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    one_in.store(usize::MAX, Ordering::Relaxed);
    clients.forget(&kept.id);
    let whole =
        eventually("the image can be read", async || clients.download(service.address, &kept.id).await.ok());
    assert!(kept.is(&whole.await));
    assert_settled(&service, &clients).await;
}
