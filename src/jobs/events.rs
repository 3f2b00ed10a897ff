//! The loops that empty the outbox: one for each sink, in every replica.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::error::Chain;
use crate::flows::Flows;
use crate::flows::events::Delivered;
use crate::notify::Sink;

/// Time between two looks at the outbox while it has nothing to deliver, before jitter.
const POLL: Duration = Duration::from_millis(1500);

/// Delivers to every sink, and gives up what has become too old, until `stop` fires. What is on its way then is given
/// back.
pub async fn run(flows: Flows, stop: CancellationToken) {
    for sink in &flows.sinks {
        flows.tracker.spawn(deliver(flows.clone(), sink.clone(), stop.clone()));
    }
    let interval = flows.config.jobs.sweep_interval;
    while pause(&stop, interval).await {
        // also for sinks that are switched off again: nobody else looks after what they left
        if let Err(error) = flows.expire_events().await {
            warn!(error = %Chain(&error), "old events could not be removed");
        }
        if let Err(error) = flows.observe_events().await {
            warn!(error = %Chain(&error), "the backlog of events could not be read");
        }
    }
}

async fn deliver(flows: Flows, sink: Sink, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let batch = flows.deliver_events(&sink, &stop).await;
        if let Err(error) = &batch {
            warn!(sink = sink.name(), error = %Chain(error), "events could not be claimed");
        }
        // what has arrived makes its successors due
        let more = batch.is_ok_and(|Delivered { arrived, .. }| arrived > 0);
        if !more && !pause(&stop, POLL).await {
            return;
        }
    }
}

/// Waits, with jitter so that replicas do not move in step. False: `stop` fired.
async fn pause(stop: &CancellationToken, interval: Duration) -> bool {
    let wait = interval.mul_f64(rand::random_range(0.67..1.33));
    stop.run_until_cancelled(sleep(wait)).await.is_some()
}
