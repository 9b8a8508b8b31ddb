//! A node of a cluster, as whoever watches it sees it: how well it can be heard, and what it costs to listen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the id of a node as a caller begins with.
const PEER: &str = "node:";

/// Id of somebody on a node of whom nothing else is known.
#[must_use]
pub fn peer(node: &str) -> String {
    format!("{PEER}{node}")
}

/// Whether an id stands for somebody on a node.
#[must_use]
pub fn is_peer(id: &str) -> bool {
    id.starts_with(PEER)
}

/// Id that a workload of a node has among those of all nodes: `process:a/nginx:80` of `process:nginx:80` on `a`.
#[must_use]
pub fn scoped(id: &str, node: &str) -> String {
    match id.split_once(':') {
        Some((kind, rest)) => format!("{kind}:{node}/{rest}"),
        None => format!("{node}/{id}"),
    }
}

/// The node in an id that [`scoped`] made.
#[must_use]
pub fn of(id: &str) -> Option<&str> {
    id.split_once(':')?.1.split_once('/').map(|(node, _)| node)
}

/// How it stands with a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Its agent is being started or looked for.
    #[default]
    Connecting,
    /// Its agent reports.
    Watching,
    /// It was heard, is not any more, and is being looked for.
    Lost,
    /// Its agent and we do not go together, or it may not do its work; it is not tried again.
    Refused,
    /// It was told to end, or ended by itself.
    Ended,
}

impl NodeState {
    /// Its word in the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Watching => "watching",
            Self::Lost => "lost",
            Self::Refused => "refused",
            Self::Ended => "ended",
        }
    }
}

/// What an agent leaves out to get through, each step with those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shed {
    /// Nothing.
    #[default]
    Nothing,
    /// Fields and shapes of bodies of sampled calls.
    Bodies,
    /// The calls themselves; they are counted.
    Samples,
    /// Seconds: several are told as one.
    Seconds,
}

impl Shed {
    /// The next step.
    #[must_use]
    pub const fn more(self) -> Self {
        match self {
            Self::Nothing => Self::Bodies,
            Self::Bodies => Self::Samples,
            Self::Samples | Self::Seconds => Self::Seconds,
        }
    }

    /// The step before.
    #[must_use]
    pub const fn less(self) -> Self {
        match self {
            Self::Nothing | Self::Bodies => Self::Nothing,
            Self::Samples => Self::Bodies,
            Self::Seconds => Self::Samples,
        }
    }

    /// Its word in the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Bodies => "bodies",
            Self::Samples => "samples",
            Self::Seconds => "seconds",
        }
    }
}

/// A node that is watched from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// How it stands with it.
    pub state: NodeState,
    /// Why it is lost, was refused or has ended; empty while all is well.
    pub why: String,
    /// Its kernel, empty while unknown.
    pub kernel: String,
    /// Program and version of its agent, empty while unknown.
    pub agent: String,
    /// Its clock minus ours, microseconds; its times are shown by our clock.
    pub skew_us: i64,
    /// Time to it and back, microseconds.
    pub round_trip_us: u64,
    /// Seconds between two reports, as agreed.
    pub interval_s: f64,
    /// Calls that it named, over all of its agents.
    pub calls: u64,
    /// What it could not capture, over all of its agents.
    pub lost: u64,
    /// Bytes that came from it.
    pub bytes: u64,
    /// Bytes a second over the last few reports.
    pub bytes_per_s: f64,
    /// Reports that were taken in.
    pub reports: u64,
    /// Reports that came twice, and were counted once.
    pub repeated: u64,
    /// Rows that no agent of ours would have sent, and that were dropped.
    pub distrusted: u64,
    /// Times that it was lost.
    pub losses: u64,
    /// Seconds, together, in which nobody heard it after it had been heard.
    pub unheard_s: f64,
    /// What it leaves out to get through.
    pub shed: Shed,
    /// Sampled calls that it left out; they are counted all the same.
    pub samples_shed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shed_in_the_stated_order_and_taken_back_the_same_way() {
        let order = [Shed::Nothing, Shed::Bodies, Shed::Samples, Shed::Seconds];
        for pair in order.windows(2) {
            assert_eq!((pair[0].more(), pair[1].less()), (pair[1], pair[0]));
        }
        assert_eq!((Shed::Seconds.more(), Shed::Nothing.less()), (Shed::Seconds, Shed::Nothing));
    }
}
