//! The timer behind the sweep.

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::Chain;
use crate::flows::Flows;
use crate::flows::sweep::SweepReport;

/// Sweeps until `stop` fires, with jitter so that replicas do not move in step. A failed pass is not repeated: the
/// next one is its retry.
pub async fn run(flows: Flows, stop: CancellationToken) {
    let interval = flows.config.jobs.sweep_interval;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(interval.mul_f64(rand::random_range(0.75..1.25))) => {}
        }
        let Some(swept) = stop.run_until_cancelled(flows.sweep()).await else { return };
        match swept {
            Ok(report) if report != SweepReport::default() => {
                info!(
                    expired_uploads = report.expired_uploads,
                    removed_objects = report.removed_objects,
                    failed_removals = report.failed_removals,
                    "swept"
                );
            }
            Ok(_) => {}
            Err(error) => warn!(error = %Chain(&error), "a sweep failed"),
        }
        if let Err(error) = flows.observe_backlog().await {
            warn!(error = %Chain(&error), "the backlog could not be read");
        }
    }
}
