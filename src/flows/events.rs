//! Tell those who listen: deliver what the outbox holds, and put into it what no trigger sees.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::json;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::catalog::events::NewEvent;
use crate::domain::event::{Event, Priority, SEND};
use crate::domain::image::Image;
use crate::error::{Chain, Result};
use crate::faultpoint;
use crate::notify::{DELIVERY_LIMIT, Sink};

use super::download::DataStream;
use super::{Call, Flows};

/// Events claimed at a time: as many as are delivered at the same time, so that no lease runs out in a queue.
const BATCH: i64 = 16;
/// How long a claimed event is left alone by other replicas: well longer than its delivery, so that a late one cannot
/// come after its successor.
const LEASE: Duration = Duration::from_secs(30);
const _: () = assert!(LEASE.as_secs() > 2 * DELIVERY_LIMIT.as_secs());
/// Pause after the first failure; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Events given up at a time.
const EXPIRY_BATCH: i64 = 100;

/// What one batch did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Events that arrived.
    pub arrived: usize,
    /// Events that did not.
    pub failed: usize,
}

impl Flows {
    /// Claims events that are due at `sink` and delivers them. When `stop` fires, what has not arrived is given back.
    pub async fn deliver_events(&self, sink: &Sink, stop: &CancellationToken) -> Result<Delivered> {
        let claimed = self.catalog.claim_events(sink.name(), BATCH, LEASE).await?;
        let deliveries = claimed.iter().map(|event| self.deliver_event(sink, event, stop));
        let outcomes = futures_util::future::join_all(deliveries).await;
        let arrived = outcomes.iter().filter(|arrived| **arrived).count();
        Ok(Delivered { arrived, failed: outcomes.len() - arrived })
    }

    /// Delivers one event that is claimed, and writes down what came of it. Where that fails, the end of the lease
    /// brings the event again.
    async fn deliver_event(&self, sink: &Sink, event: &Event, stop: &CancellationToken) -> bool {
        let delivered = stop.run_until_cancelled(sink.deliver(event)).await;
        let (outcome, written) = match &delivered {
            None => ("released", self.catalog.release_event(event).await),
            Some(Ok(())) => {
                faultpoint::pass("event.delivered");
                ("delivered", self.catalog.delete_event(event).await)
            }
            Some(Err(failure)) => {
                warn!(
                    sink = sink.name(),
                    message_id = %event.message_id,
                    event_type = event.event_type,
                    attempts = event.attempts,
                    error = %Chain(failure),
                    "an event could not be delivered and will be tried again"
                );
                (failure.kind.as_str(), self.catalog.postpone_events(event, pause(event.attempts)).await)
            }
        };
        self.metrics.event_delivery(sink.name(), outcome);
        if let Err(failure) = written {
            warn!(error = %Chain(&failure), "what came of an event could not be written down");
        }
        matches!(delivered, Some(Ok(())))
    }

    /// Gives up events that could not be delivered for `notifications.ttl`. Returns how many.
    pub async fn expire_events(&self) -> Result<usize> {
        let mut total = 0;
        loop {
            let expired = self.catalog.expire_events(self.config.notifications.ttl, EXPIRY_BATCH).await?;
            for event in &expired {
                error!(
                    sink = event.sink,
                    message_id = %event.message_id,
                    event_type = event.event_type,
                    subject = event.subject,
                    "an event could not be delivered in time and was given up"
                );
            }
            total += expired.len();
            if expired.is_empty() {
                return Ok(total);
            }
        }
    }

    /// Brings the gauges of the outbox up to date.
    pub async fn observe_events(&self) -> Result<()> {
        let backlog = self.catalog.event_backlog().await?;
        for sink in &self.sinks {
            let waiting = backlog.iter().find(|waiting| waiting.sink == sink.name());
            let pending = waiting.map_or(0, |waiting| waiting.pending.unsigned_abs());
            let oldest = waiting.map_or(0.0, |waiting| waiting.oldest_secs);
            let oldest = Duration::try_from_secs_f64(oldest).unwrap_or_default();
            self.metrics.set_events(sink.name(), pending, oldest);
        }
        Ok(())
    }

    /// The same data, whose end becomes `image.send`, also where the client leaves before it. Best effort: the event is
    /// written after the fact.
    pub(super) fn told(&self, call: &Call, image: &Image, expected: u64, data: DataStream) -> DataStream {
        if self.sinks.is_empty() {
            return data;
        }
        let payload = json!({
            "image_id": image.id.0,
            "owner_id": image.owner,
            "receiver_tenant_id": call.caller.project,
            "receiver_user_id": call.caller.user,
        });
        let event =
            NewEvent { event_type: SEND, subject: image.id.to_string(), payload, priority: Priority::Info };
        let sending = Sending { flows: self.clone(), runtime: Handle::current(), event, expected, sent: 0 };
        counted(sending, data).boxed()
    }
}

/// A download under way. Its end, whatever it is, is when it is dropped.
struct Sending {
    flows: Flows,
    runtime: Handle,
    event: NewEvent,
    expected: u64,
    sent: u64,
}

impl Drop for Sending {
    fn drop(&mut self) {
        let (flows, mut event) = (self.flows.clone(), self.event.clone());
        event.payload["bytes_sent"] = self.sent.into();
        if self.sent != self.expected {
            event.priority = Priority::Error;
        }
        let tell = async move {
            if let Err(failure) = flows.catalog.emit_event(&event).await {
                warn!(image.id = event.subject, error = %Chain(&failure), "image.send is lost");
            }
        };
        self.flows.tracker.spawn_on(tell, &self.runtime);
    }
}

fn counted(sending: Sending, data: DataStream) -> impl Stream<Item = Result<Bytes>> + Send {
    stream::unfold((sending, data), |(mut sending, mut data)| async move {
        let frame = data.next().await?;
        sending.sent += frame.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Some((frame, (sending, data)))
    })
}

/// How long an event waits after so many attempts.
fn pause(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(16);
    (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE).mul_f64(rand::random_range(0.75..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_minutes() {
        assert!(pause(1) <= FIRST_PAUSE && pause(1) >= FIRST_PAUSE / 2);
        assert!(pause(4) > pause(2));
        for attempts in [11, 100, i32::MAX] {
            assert!(pause(attempts) <= LONGEST_PAUSE && pause(attempts) >= LONGEST_PAUSE / 2, "{attempts}");
        }
    }
}
