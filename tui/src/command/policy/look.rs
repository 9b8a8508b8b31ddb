//! What is known of this node when a command names workloads: live traffic for a moment, and everybody who runs.

use crate::exit::Failure;
use apisec_engine::knowledge::ZOMBIE_AFTER;
use apisec_engine::snapshot::Snapshot;
use apisec_probe::attach::{Bodies, Own};
use apisec_probe::identity::roster::roster;
use apisec_probe::identity::{self, LocalIdentity};
use apisec_probe::pipeline::{self, Config, Detection};
use apisec_probe::source::live::Live;
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
    let source = Live::start(Own::Excluded, Bodies::Heads, identity::seed)?;
    let running = pipeline::start(Config {
        source: Box::new(source),
        identity: Box::new(LocalIdentity::start()?),
        key: [0; 32],
        rules: Vec::new(),
        specs: Vec::new(),
        zombie_after: ZOMBIE_AFTER,
        history: Vec::new(),
        keeper: None,
        detection: Detection::default(),
        forwarder: None,
        exporter: None,
        on_call: None,
        recorder: None,
        sample_bodies: 0,
        live_view: false,
        bounds: pipeline::Bounds::default(),
        cpu_share: f64::INFINITY,
        audit: None,
        degradations: Vec::new(),
    })?;
    // This is the job itself: to look for so long.
    std::thread::park_timeout(watch);
    let snapshot = running.stop()?;
    Ok(std::sync::Arc::unwrap_or_clone(snapshot))
}
