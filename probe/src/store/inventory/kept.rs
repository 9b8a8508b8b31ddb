//! What is written of a run: its endpoints and edges, with what was seen of them.

use apisec_engine::baseline::{Norm, NormKey};
use apisec_engine::drift::state::Evidence;
use apisec_engine::endpoint::{EndpointKey, EndpointStats};
use apisec_engine::graph::EdgeKey;
use apisec_engine::knowledge::Knowledge;
use apisec_engine::load::Load;
use apisec_engine::looks::Looks;
use apisec_engine::vocabulary;
use apisec_proto::call::Notes;
use std::sync::Arc;

/// All that one run has observed so far.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Its endpoints.
    pub endpoints: Vec<Kept>,
    /// Its edges, without latencies.
    pub edges: Vec<(EdgeKey, Load)>,
    /// What is usual, where that has changed.
    pub norms: Option<Vec<(NormKey, Norm)>>,
    /// There will be no other: bodies are written even if they say nothing new.
    pub last: bool,
}

impl Batch {
    /// All that is known of this run.
    #[must_use]
    pub fn of(known: &Knowledge, last: bool) -> Self {
        let endpoints = known.observed().map(|(key, stats)| Kept::of(key, stats)).collect();
        let edges = known.observed_edges().map(|(key, load)| (key, totals(load))).collect();
        Self { endpoints, edges, norms: None, last }
    }
}

/// An endpoint of one run, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Which.
    pub key: EndpointKey,
    /// Counts and times, without latencies.
    pub load: Load,
    /// Some calls were answered with success.
    pub accepted: bool,
    /// Kind, value, calls.
    pub facts: Vec<(&'static str, String, u64)>,
    /// What its bodies looked like.
    pub looks: Option<Arc<Looks>>,
}

impl Kept {
    /// What is kept of an endpoint.
    #[must_use]
    pub fn of(key: &EndpointKey, stats: &EndpointStats) -> Self {
        let mut facts: Vec<(&'static str, String, u64)> = Vec::new();
        facts.extend(stats.statuses.iter().map(|(status, calls)| ("status", status.to_string(), calls)));
        facts.extend(stats.callers.by_calls().iter().map(|(id, calls)| ("caller", id.to_string(), *calls)));
        let schemes = vocabulary::AUTH_SCHEMES.iter().filter(|(scheme, _)| stats.auth.contains(*scheme));
        facts.extend(schemes.map(|(_, word)| ("auth", (*word).to_owned(), 0)));
        let name = |bit: u8| Notes::NAMES.get(usize::from(bit));
        let notes = stats.notes.iter().filter_map(|(bit, calls)| Some((name(bit)?, calls)));
        facts.extend(notes.map(|(name, calls)| ("note", (*name).to_owned(), calls)));
        let names = [
            ("host", stats.hosts.names()),
            ("query", stats.query.names()),
            ("request-type", stats.request_types.names()),
            ("response-type", stats.response_types.names()),
        ];
        for (kind, names) in names {
            facts.extend(names.iter().map(|name| (kind, name.to_string(), 0)));
        }
        let accepted = Evidence::of(stats).accepted;
        Self { key: key.clone(), load: totals(&stats.load), accepted, facts, looks: stats.looks.clone() }
    }
}

/// A load without what is not kept.
pub(super) fn totals(load: &Load) -> Load {
    let Load { calls, errors, unanswered, request_bytes, response_bytes, .. } = *load;
    let Load { encrypted, mutual, anonymous, classes, first, last, .. } = *load;
    Load {
        calls,
        errors,
        unanswered,
        request_bytes,
        response_bytes,
        encrypted,
        mutual,
        anonymous,
        classes,
        first: if calls == 0 { 0 } else { first },
        last,
        ..Load::default()
    }
}
