//! Who is at the two ends of a connection.

pub mod address;
pub mod address_book;
pub mod cgroup;
pub mod live;

mod boot;
mod cgroup_tree;
mod describe;
mod holders;
mod images;
mod mask;
pub(crate) mod namespace;
pub(crate) mod netlink;
pub(crate) mod process;
mod program;
mod registry;
mod resolver;
pub mod roster;
pub(crate) mod socket;
mod standing;
mod survey;
mod surveyor;
mod whereabouts;

pub use address::AddressIdentity;
pub use address_book::Hosts;
pub use live::LocalIdentity;
pub use registry::{MAX_EXTERNALS, MAX_WORKLOADS};
pub use standing::seed;

use crate::flow::Flow;
use apisec_abi::{Exec, Exit, Open};
use apisec_engine::degradation::Degradation;
use apisec_engine::rename::Rename;
use apisec_proto::call::Party;
use apisec_proto::segment::ConnId;
use std::time::Duration;

/// Addresses of this network namespace without loopback ones; none when the kernel does not tell.
#[must_use]
pub fn own_addresses() -> Vec<std::net::IpAddr> {
    namespace::addresses().unwrap_or_default()
}

/// A workload of which nothing is known.
pub(crate) fn nobody() -> apisec_proto::call::Workload {
    describe::unknown()
}

/// Caller and callee of a connection.
#[derive(Clone, Debug)]
pub struct Parties {
    /// Who opened the connection.
    pub src: Party,
    /// Who accepted it.
    pub dst: Party,
    /// Whether they may yet be called otherwise.
    pub certainty: Certainty,
}

/// How good a name is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// As good as it will get.
    Settled,
    /// It may become better some time: worth asking again, not worth waiting for.
    Later,
    /// The process has just started and may be a server in a moment, or the kernel has not said all.
    Young,
    /// A guess. Somebody is looking, and the answer comes soon.
    Asked,
}

/// Names the ends of connections. Times in the records are Unix nanoseconds, as everything is behind a
/// source. Lives on the capture thread: `parties` is called once or a few times
/// per connection, not per call; the rest once per event.
pub trait Identity: Send {
    /// The workloads at the ends of `conn`. Never fails: what is unknown is an external peer by address.
    fn parties(&mut self, conn: ConnId, flow: &Flow) -> Parties;

    /// The kernel recognised a connection as HTTP and says what it knows of its ends.
    fn opened(&mut self, open: &Open);

    /// A process image was started.
    fn started(&mut self, exec: &Exec);

    /// A process ended. Its connections may still be named for a while.
    fn ended(&mut self, exit: &Exit);

    /// The connection is over.
    fn closed(&mut self, conn: ConnId);

    /// Called about once a second with the time (Unix nanoseconds), for housekeeping within a few milliseconds.
    fn tick(&mut self, now: u64);

    /// Waits until more is known, or until `patience` ends; false when nothing will be.
    fn wait(&mut self, _patience: Duration) -> bool {
        false
    }

    /// Workloads whose ids were refined since the last time; names that were given before are out of date.
    fn renames(&mut self) -> Vec<Rename> {
        Vec::new()
    }

    /// What could not be resolved and why.
    fn degradations(&self) -> Vec<Degradation>;
}
