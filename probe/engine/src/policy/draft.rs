//! Policies for what is selected: an edge, an endpoint, an identity, a finding; and least-privilege allow-lists from
//! what was observed. Drafts only: nothing is done before somebody has seen the preview.

use super::preview::Preview;
use super::{
    Edge, Endpoint, Identity, MethodRule, Name, PathPattern, Per, Policy, Quarantine, Rate, RateLimit,
    Reason, Scope, Selector, name,
};
use crate::call_log::{LoggedEndpoint, Protocol};
use crate::finding::Finding;
use crate::snapshot::{EndpointView, Kind, Snapshot};
use std::collections::BTreeSet;

/// Everything from one workload to another.
#[must_use]
pub fn edge(src: &str, dst: &str) -> Option<Policy> {
    let scope = Scope::Edge(Edge { from: Selector::parse(src).ok()?, to: Selector::parse(dst).ok()? });
    Some(Policy::new(Name::near(&format!("stop {} {}", short(src), short(dst))), scope))
}

/// One operation, of everybody.
#[must_use]
pub fn endpoint(endpoint: &EndpointView) -> Option<Policy> {
    // What a dialect calls a method (`QUERY`) is none of the request.
    let http = matches!(endpoint.protocol.as_str(), "http1" | "http2");
    let method = if http { endpoint.method.as_str() } else { "*" };
    operation(&endpoint.service, method, &endpoint.path, None)
}

/// Everything that one credential asks for, at one service or all.
#[must_use]
pub fn identity(hash: &str, service: Option<&str>) -> Option<Policy> {
    let hash = name::Hash::try_from(hash.to_owned()).ok()?;
    let service = service.map(Selector::parse).transpose().ok()?;
    let scope = Scope::Identity(Identity { hash, service });
    Some(Policy::new(Name::near(&format!("stop identity {hash}")), scope))
}

/// What a finding suggests.
#[must_use]
pub fn finding(finding: &Finding) -> Option<Policy> {
    let found = &finding.suggestion;
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let mut policy = match found.kind.as_str() {
        "edge" => edge(&found.caller, &found.service)?,
        "endpoint" => {
            let method = if found.method.is_empty() { "*" } else { &found.method };
            operation(&found.service, method, &found.path, some(&found.caller).as_deref())?
        }
        "identity" => identity(&found.identity, some(&found.service).as_deref())?,
        "rate" => rate(found)?,
        "quarantine" => {
            let workload = if found.service.is_empty() { &found.caller } else { &found.service };
            let workload = Selector::parse(workload).ok()?;
            let name = Name::near(&format!("quarantine {}", short(workload.as_str())));
            Policy::new(name, quarantine(workload, Vec::new()))
        }
        _ => return None,
    };
    policy.spec.reason =
        Reason::parse(&format!("{}: {}", finding.detector, finding.title)).unwrap_or_default();
    policy.spec.finding = Reason::parse(&finding.id).ok();
    Some(policy)
}

/// What can be cut because of a finding, what it suggests first.
#[must_use]
pub fn of_finding(found: &Finding) -> Vec<Policy> {
    let Finding { service, actor, method, path, identity_hash, .. } = found;
    let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let method = if method.is_empty() { "*" } else { method };
    let others = [
        identity(identity_hash, known(service).as_deref()),
        operation(service, method, path, known(actor).as_deref()),
        operation(service, method, path, None),
        edge(actor, service),
    ];
    let because = |mut policy: Policy| {
        policy.spec.reason =
            Reason::parse(&format!("{}: {}", found.detector, found.title)).unwrap_or_default();
        policy.spec.finding = Reason::parse(&found.id).ok();
        policy
    };
    different(finding(found).into_iter().chain(others.into_iter().flatten().map(because)))
}

/// What can be cut because of a call: its credential, there and everywhere, its operation, and all between the two.
#[must_use]
pub fn of_call(src: &str, endpoint: &LoggedEndpoint, hash: Option<u64>) -> Vec<Policy> {
    let LoggedEndpoint { service, protocol, method, path, .. } = endpoint;
    let http = matches!(protocol, Protocol::Http1 | Protocol::Http2);
    let method = if http { method.as_str() } else { "*" };
    let hash = hash.map(|hash| format!("{hash:016x}")).unwrap_or_default();
    let all = [
        identity(&hash, Some(service)),
        identity(&hash, None),
        operation(service, method, path, Some(src)),
        operation(service, method, path, None),
        edge(src, service),
    ];
    different(all.into_iter().flatten())
}

/// Those that cut something else than the ones before.
fn different(all: impl Iterator<Item = Policy>) -> Vec<Policy> {
    let mut found: Vec<Policy> = Vec::new();
    for policy in all {
        if !found.iter().any(|known| known.spec.scope == policy.spec.scope) {
            found.push(policy);
        }
    }
    found
}

fn rate(found: &crate::finding::Suggestion) -> Option<Policy> {
    let limit = RateLimit::parse(&format!("{}/m", found.per_minute)).ok()?;
    let path = if found.path.is_empty() {
        Some(PathPattern::default())
    } else {
        PathPattern::of_template(&found.path)
    };
    let scope = Scope::Rate(Rate {
        service: Selector::parse(&found.service).ok()?,
        method: MethodRule::parse(if found.method.is_empty() { "*" } else { &found.method }).ok()?,
        path: path?,
        from: Selector::parse(&found.caller).ok(),
        per: Per::Caller,
        limit,
        burst: None,
    });
    Some(Policy::new(Name::near(&format!("limit {}", short(&found.service))), scope))
}

fn operation(service: &str, method: &str, path: &str, from: Option<&str>) -> Option<Policy> {
    let scope = Scope::Endpoint(Endpoint {
        service: Selector::parse(service).ok()?,
        method: MethodRule::parse(method).unwrap_or_default(),
        path: PathPattern::of_template(path)?,
        from: from.map(Selector::parse).transpose().ok()?,
    });
    Some(Policy::new(Name::near(&format!("stop {method} {path}")), scope))
}

const fn quarantine(workload: Selector, allow: Vec<Selector>) -> Scope {
    Scope::Quarantine(Quarantine { workload, allow, cut_operator: false, cut_dns: false })
}

/// A least-privilege allow-list of a workload with its replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommendation {
    /// Everything is cut but what was observed.
    pub policy: Policy,
    /// What it would have cut of what was observed: nothing, or it is not offered.
    pub preview: Preview,
}

/// Allow-lists for the workloads of this node, or for one: each lets through whom it was seen to talk with.
#[must_use]
pub fn recommend(snapshot: &Snapshot, of: Option<&Selector>) -> Vec<Recommendation> {
    let ours =
        snapshot.workloads.iter().filter(|workload| workload.kind != Kind::External && workload.pid != 0);
    let wanted = ours.filter(|workload| of.is_none_or(|of| super::aim::means(of, workload)));
    let recommended = wanted.filter_map(|workload| {
        let peers: BTreeSet<&str> = snapshot
            .edges
            .iter()
            .filter_map(|edge| match (edge.src == workload.id, edge.dst == workload.id) {
                (true, false) => Some(edge.dst.as_str()),
                (false, true) => Some(edge.src.as_str()),
                _ => None,
            })
            .collect();
        if peers.is_empty() {
            return None;
        }
        let allow = peers.iter().filter_map(|id| Selector::parse(id).ok()).collect();
        let name = Name::near(&format!("allow list of {}", workload.name));
        let mut policy = Policy::new(name, quarantine(Selector::parse(&workload.id).ok()?, allow));
        policy.spec.reason =
            Reason::parse(&format!("least privilege: {} peers observed", peers.len())).unwrap_or_default();
        let preview = Preview::of(&policy, snapshot, &[]);
        (preview.cut == 0).then_some(Recommendation { policy, preview })
    });
    recommended.collect()
}

/// The part of an id that people know: `process:orders:8080` is `orders`.
fn short(id: &str) -> &str {
    let bare = id.split_once(':').map_or(id, |(_, rest)| rest);
    bare.split([':', '@']).next().unwrap_or(bare)
}
