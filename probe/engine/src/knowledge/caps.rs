//! Which bounds were reached, and how that reads.

use super::recent::Recent;
use crate::degradation::{Degradation, Severity};
use crate::endpoint::CALLERS;
use crate::graph::follow::Follower;
use crate::limits::Limits;

/// What did not fit so far.
#[derive(Default)]
pub(super) struct Caps {
    pub(super) workloads: bool,
    pub(super) edges: bool,
    pub(super) endpoints: bool,
    /// Calls that a node had to count in an overflow row.
    pub(super) calls_overflowed: u64,
    /// Calls that were not followed through a proxy.
    pub(super) unfollowed: u64,
    /// Endpoints with more callers than are counted by name.
    pub(super) callers: usize,
    /// Endpoints with more hosts, query names or media types than are kept.
    pub(super) names: usize,
}

impl Caps {
    pub(super) fn degradations(
        &self,
        limits: &Limits,
        recent: &Recent,
        follower: &Follower,
    ) -> Vec<Degradation> {
        let unfollowed = self.unfollowed.saturating_add(follower.unfollowed());
        let all = [
            self.workloads.then(|| cap("workload-cap", format!(
                "There are more than {} workloads ({} external peers); the others are added up as {{overflow}}.",
                limits.workloads, limits.externals
            ))),
            self.edges.then(|| cap("edge-cap", format!(
                "There are more than {} edges; the others are added up as {{overflow}}.", limits.edges
            ))),
            self.endpoints.then(|| cap("endpoint-cap", format!(
                "There are more than {} endpoints ({} of one service); the others are added up as {{overflow}}.",
                limits.endpoints, limits.endpoints_per_service
            ))),
            (self.calls_overflowed > 0).then(|| cap("delta-cap", format!(
                "{} calls came under more new names in one second than a node can report; \
                 they are added up as {{overflow}}.", self.calls_overflowed
            ))),
            (unfollowed > 0).then(|| cap("hop-cap", format!(
                "{unfollowed} calls were not followed through proxies: there were too many at once."
            ))),
            follower.is_crowded().then(|| cap("chain-cap", format!(
                "There are more than {} ways through proxies; the others are not shown.", limits.chains
            ))),
            (recent.dropped() > 0).then(|| cap("log-cap", format!(
                "{} calls are counted, but not listed one by one: more than {} came in one second.",
                recent.dropped(), limits.rows_per_delta
            ))),
            (self.callers > 0).then(|| cap("caller-cap", format!(
                "{} endpoints have more than {CALLERS} callers; those beyond are counted, but not named.", self.callers
            ))),
            (self.names > 0).then(|| cap("name-cap", format!(
                "{} endpoints have more hosts, query names or media types than are kept.", self.names
            ))),
        ];
        all.into_iter().flatten().collect()
    }
}

/// What detection could not tell apart or keep.
pub(super) fn of_findings(crowded: u64, dropped: u64) -> Vec<Degradation> {
    let all = [
        (crowded > 0).then(|| cap("trail-cap", format!(
            "{crowded} calls came under more identities and paths than are told apart: of those who made most of them, the \
             least repeated are not judged."
        ))),
        (dropped > 0).then(|| cap("finding-cap", format!(
            "{dropped} findings made room for more urgent ones, or were less urgent than all that are kept."
        ))),
    ];
    all.into_iter().flatten().collect()
}

fn cap(code: &str, what: String) -> Degradation {
    let severity = if matches!(code, "hop-cap" | "log-cap" | "trail-cap") {
        Severity::Partial
    } else {
        Severity::Notice
    };
    let remedy = match code {
        "workload-cap" | "edge-cap" => "raise `workloads` under [limits] in the settings file",
        "endpoint-cap" | "delta-cap" => "raise `endpoints` under [limits] in the settings file",
        _ => "",
    };
    Degradation { code: code.to_owned(), severity, what, remedy: remedy.to_owned() }
}
