//! more uploads than there is memory for.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use vitrine::config::units::ByteSize;

use super::{Clients, MIB, Outcome, World, content, random, scaled, seed};
use crate::support::api::new_id;
use crate::support::s3::{Fault, FaultyS3};
use crate::support::server::Server;

/// memory follows the budget, not the number or the size of uploads; each of them is stored or told to come
/// again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_follows_the_budget() {
    let seed = seed("R-13");
    let (uploads, size, budget) = scaled((20, 24 * MIB, 40 * MIB), (64, 1024 * MIB, 512 * MIB));
    // slow enough that parts pile up wherever they can
    let faulty = FaultyS3::start(|call| {
        let data = call.operation == "UploadPart" || call.operation == "PutObject";
        if data { Fault::Delay(Duration::from_millis(150)) } else { Fault::Pass }
    });
    let world = World::new().await;
    let mut config = world.config();
    config.stores.insert("main".to_owned(), world.bucket.store_at(&faulty.endpoint));
    super::hasten(&mut config);
    config.jobs.lease = Duration::from_secs(30);
    config.data.memory_budget = ByteSize(budget as u64);
    let server = Server::start(&config).await;
    let idle = server.resident();
    let clients = Clients::new();
    let block = content(&mut random(seed), MIB);
    let (server_ref, clients_ref, block) = (&server, &clients, &block);
    let outcomes: Vec<Outcome> = stream::iter(0..uploads)
        .map(|number| async move {
            let frames = (0..size / MIB).map({
                let block = block.clone();
                move |_| Ok::<_, std::io::Error>(block.clone())
            });
            let body = reqwest::Body::wrap_stream(stream::iter(frames));
            let outcome = clients_ref.send(server_ref.api, &new_id(), body, None).await;
            println!("R-13: upload {number}: {outcome:?}");
            outcome
        })
        .buffer_unordered(uploads)
        .collect()
        .await;
    let peak = server.peak_resident();
    println!("R-13: {} MiB idle, {} MiB peak", idle / MIB as u64, peak / MIB as u64);
    for outcome in &outcomes {
        let fair = *outcome == Outcome::Kept
            || matches!(outcome, Outcome::Refused { status: 503, retry_after: true });
        assert!(fair, "{outcome:?}");
    }
    assert!(outcomes.contains(&Outcome::Kept));
    // the share of everything else in the specification: 768 MiB in all at a budget of 512 MiB
    let most = (budget + 128 * MIB) as u64 + idle.min(128 * MIB as u64);
    assert!(peak <= most, "{} MiB at a budget of {} MiB", peak / MIB as u64, budget / MIB);
    world.assert_invariant(&[server.api], &clients).await;
}
