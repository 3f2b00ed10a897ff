//! R-22, A41: many uploads at once against one quota.

use futures_util::{StreamExt, stream};
use rand::Rng;
use vitrine::config::units::ByteSize;

use super::{Clients, MIB, Outcome, PART, assert_invariant, content, hasten, random, scaled, seed};
use crate::support::api::{Service, new_id};

async fn service(quota: usize) -> Service {
    Service::start_with(|config| {
        hasten(config);
        config.limits.user_storage_quota = ByteSize(quota as u64);
        config.jobs.lease = std::time::Duration::from_secs(60);
    })
    .await
}

async fn assert_settled(service: &Service, clients: &Clients) {
    assert_invariant(&service.database.config(), &service.bucket, &[service.address], clients).await;
}

/// as many as fit are stored, be the others ever so many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_at_once_never_exceed_the_quota() {
    let mut random = random(seed("R-22"));
    let (uploads, fitting, size) = (200, 100, 4_000);
    let service = service(fitting * size).await;
    let clients = Clients::new();
    let data = content(&mut random, size);
    let outcomes: Vec<Outcome> = stream::iter(0..uploads)
        .map(|_| clients.upload(service.address, &data))
        .buffer_unordered(uploads)
        .collect()
        .await;
    let kept = clients.kept().len();
    let refused = outcomes.iter().filter(|o| matches!(o, Outcome::Refused { status: 413, .. })).count();
    println!("R-22: {kept} kept, {refused} refused");
    // their length is known, so none is admitted in vain
    assert_eq!((kept, refused), (fitting, uploads - fitting), "{outcomes:?}");
    assert_settled(&service, &clients).await;
}

/// A41: uploads of all sizes, some of unknown length, some in parts: the sum stays within the quota, and no room is
/// lost for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sum_of_all_uploads_stays_within_the_quota() {
    let seed = seed("A41");
    let quota = 20 * MIB;
    let service = service(quota).await;
    let clients = Clients::new();
    let (service_ref, clients_ref) = (&service, &clients);
    stream::iter(0..scaled(30, 300))
        .for_each_concurrent(10, |number| async move {
            let mut random = random(seed.wrapping_add(number));
            let size = if number % 3 == 0 { PART + MIB } else { random.random_range(1..2 * MIB) };
            let data = content(&mut random, size);
            let outcome = clients_ref.upload_as(service_ref.address, &new_id(), &data, random.random()).await;
            // a refusal in the middle of a body may close the connection under the sender
            let fair =
                matches!(outcome, Outcome::Kept | Outcome::Lost | Outcome::Refused { status: 413, .. });
            assert!(fair, "{outcome:?}");
        })
        .await;
    let used: usize = clients.kept().iter().map(|kept| kept.size).sum();
    println!("A41: {} kept, {used} of {quota} bytes", clients.kept().len());
    assert!(used <= quota && !clients.kept().is_empty());
    assert_settled(&service, &clients).await;
    // refused uploads hold nothing
    let rest = content(&mut random(seed), quota - used);
    if !rest.is_empty() {
        assert_eq!(clients.upload(service.address, &rest).await, Outcome::Kept);
    }
    assert_settled(&service, &clients).await;
}
