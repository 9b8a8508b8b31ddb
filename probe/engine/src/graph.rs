//! Who calls whom: edges, and the ways of calls through proxies.
//!
//! **Who owns a call**: the server's side. What a client's side saw of the same call is kept apart and
//! shown only while no probe has ever seen the callee's side.

use crate::endpoint::Id;
use crate::load::Load;
use apisec_proto::call::{Protocol, Vantage};
use serde::{Deserialize, Serialize};

pub mod follow;
pub mod hop;

/// Names an edge the same way on every node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EdgeKey {
    /// Caller's workload id.
    pub src: Id,
    /// Callee's workload id.
    pub dst: Id,
    /// What was spoken.
    pub protocol: Protocol,
    /// Where it was observed.
    pub vantage: Vantage,
}

/// The same calls as both ends saw them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BothEnds {
    server: Load,
    client: Load,
}

impl BothEnds {
    /// The totals of one vantage.
    pub const fn at(&mut self, vantage: Vantage) -> &mut Load {
        match vantage {
            Vantage::Server => &mut self.server,
            Vantage::Client => &mut self.client,
        }
    }

    /// The totals of every vantage.
    #[must_use]
    pub const fn both(&self) -> [(Vantage, &Load); 2] {
        [(Vantage::Server, &self.server), (Vantage::Client, &self.client)]
    }

    /// What the client's side saw.
    #[must_use]
    pub const fn by_client(&self) -> &Load {
        &self.client
    }

    /// Adds the calls of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.server.merge(&other.server);
        self.client.merge(&other.client);
    }

    /// The totals that count, given whether a probe covers the callee.
    #[must_use]
    pub const fn owned(&self, covered: bool) -> &Load {
        if covered { &self.server } else { &self.client }
    }
}
