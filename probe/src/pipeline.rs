//! One source in, snapshots out: the capture thread decodes and aggregates, the knowledge thread merges.

use apisec_engine::command::Command;
use apisec_engine::snapshot::Snapshot;
use std::sync::Arc;
use tokio::sync::watch;

/// A running pipeline. Dropping it stops the threads and the source, which detaches from the kernel.
pub struct Running {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    commands: crossbeam_channel::Sender<Command>,
}

impl Running {
    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// A receiver that wakes when a new snapshot is there (at most four a second).
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Sends a command to the knowledge; it shows in a later snapshot.
    pub fn send(&self, command: Command) {
        let _closed = self.commands.send(command);
    }
}
