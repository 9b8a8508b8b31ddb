//! What is known of this node when a command names workloads: live traffic for a moment, and everybody who runs.

use crate::exit::Failure;
use apisec_engine::snapshot::Snapshot;
use apisec_probe::identity::roster::roster;
use apisec_probe::pipeline;
use apisec_probe::policy::patrol;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a preview looks at traffic when nobody said.
pub(super) const USUAL: Duration = Duration::from_secs(2);

/// The node, with what was seen of its traffic in `watch`.
pub(super) fn node(watch: Duration) -> Result<Snapshot, Failure> {
    let mut snapshot = if watch.is_zero() { Snapshot::default() } else { live(watch)? };
    let known: BTreeSet<String> = snapshot.workloads.iter().map(|workload| workload.id.clone()).collect();
    let others = roster().into_iter().filter(|workload| !known.contains(workload.id.as_str()));
    snapshot.workloads.extend(others);
    snapshot.workloads.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(snapshot)
}

fn live(watch: Duration) -> Result<Snapshot, Failure> {
    let running = pipeline::start(patrol::look()?)?;
    // This is the job itself: to look for so long.
    std::thread::park_timeout(watch);
    let snapshot = running.stop()?;
    Ok(std::sync::Arc::unwrap_or_clone(snapshot))
}
