//! What has to be done for a policy, in terms of workloads; a backend turns it into rules of its own.

use super::aim::Aim;
use super::{Policy, Quarantine, Scope, Selector};
use crate::snapshot::{Kind, Snapshot, WorkloadView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Measure {
    /// What.
    pub act: Act,
    /// When it acts.
    pub when: When,
    /// Whose calls or connections; empty: everybody's.
    pub from: Vec<Place>,
    /// To whom; empty: to anybody.
    pub to: Vec<Place>,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// New connections are refused, open ones closed.
    Refuse,
    /// Requests are answered with 403.
    Answer,
    /// Requests beyond a rate are answered with 403.
    Limit,
    /// All connections of a workload are refused and closed.
    Isolate,
    /// The connection over which such a call was seen is closed.
    Close,
}

/// When it acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Before the call reaches the service.
    Inline,
    /// After such a call was seen: the first one gets through.
    Reactive,
}

/// A workload at a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Workload id; the selector itself where nobody was seen.
    pub id: String,
    /// A process of it; 0 when it is not on this node.
    pub pid: u32,
    /// Its address, with the port where it listens; empty when unknown.
    pub address: String,
}

impl Place {
    fn of(workload: &WorkloadView) -> Self {
        let pid = if workload.kind == Kind::External { 0 } else { workload.pid };
        Self { id: workload.id.clone(), pid, address: workload.address.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.id)?;
        match (self.pid, self.address.as_str()) {
            (0, _) => Ok(()),
            (pid, "") => write!(out, " (pid {pid})"),
            (pid, address) => write!(out, " (pid {pid}, {address})"),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |places: &[Place], nobody: &str| {
            let names: Vec<String> = places.iter().map(ToString::to_string).collect();
            if names.is_empty() { nobody.to_owned() } else { names.join(", ") }
        };
        let (from, to) = (list(&self.from, "anybody"), list(&self.to, "anybody"));
        match self.act {
            Act::Refuse => write!(out, "refuse and close connections from {from} to {to}"),
            Act::Answer => write!(out, "answer 403 to such requests of {from} at {to}"),
            Act::Limit => write!(out, "answer 403 to what is beyond the rate, of {from} at {to}"),
            Act::Isolate => write!(out, "refuse and close all connections of {to} but those with {from}"),
            Act::Close => write!(out, "close connections of {from} to {to} over which such a call was seen"),
        }
    }
}

/// What has to be done for a policy, and what cannot be, or only after the fact.
#[must_use]
pub fn measures(policy: &Policy, snapshot: &Snapshot) -> (Vec<Measure>, Vec<String>) {
    let places = |selector: &Selector| places(selector, snapshot);
    let optional = |selector: &Option<Selector>| selector.as_ref().map(places).unwrap_or_default();
    let one = |act, from, to| vec![Measure { act, when: When::Inline, from, to }];
    match &policy.spec.scope {
        Scope::Edge(edge) => {
            let (mut limits, from, to) = (Vec::new(), places(&edge.from), places(&edge.to));
            let mut measures = one(Act::Refuse, from.clone(), to.clone());
            if Aim::of(&edge.from, snapshot).workloads(snapshot).any(|one| one.kind == Kind::External) {
                limits.push(format!(
                    "{} is not on this node: its connections are not refused; its requests are, or where they cannot be read \
                     before they arrive, their connections are closed",
                    edge.from
                ));
                measures.push(Measure { act: Act::Close, when: When::Reactive, from, to });
            }
            (measures, limits)
        }
        Scope::Quarantine(Quarantine { workload, allow, .. }) => {
            let allowed = allow.iter().flat_map(places).collect();
            (one(Act::Isolate, allowed, places(workload)), Vec::new())
        }
        Scope::Identity(identity) => {
            let limits = vec![after("an identity inside a token")];
            let close = Measure {
                act: Act::Close,
                when: When::Reactive,
                from: Vec::new(),
                to: optional(&identity.service),
            };
            (vec![close], limits)
        }
        Scope::Endpoint(one) => requests(Act::Answer, &one.service, optional(&one.from), snapshot),
        Scope::Rate(rate) => requests(Act::Limit, &rate.service, optional(&rate.from), snapshot),
    }
}

/// Why something is not stopped before it happens.
fn after(what: &str) -> String {
    format!(
        "{what} is known after it was read: the first one on each connection gets through, then the connection is closed, with \
         all else that is on its way over it"
    )
}

/// What is done about requests: inline where they are HTTP/1 in clear, reactively where they are not.
fn requests(
    act: Act,
    service: &Selector,
    from: Vec<Place>,
    snapshot: &Snapshot,
) -> (Vec<Measure>, Vec<String>) {
    let aim = Aim::of(service, snapshot);
    let (mut inline, mut reactive, mut limits) = (false, false, Vec::new());
    let called = || snapshot.endpoints.iter().filter(|one| aim.has(&one.service) && one.calls > 0);
    let in_clear = called().filter(|endpoint| endpoint.calls > endpoint.carriage.encrypted);
    let spoken: BTreeSet<&str> = in_clear.map(|endpoint| endpoint.protocol.as_str()).collect();
    // A rate is kept where requests arrive, and nowhere else.
    let late = |what: String| match act {
        Act::Limit => format!("{what} is not counted and not stopped: rates are kept for HTTP/1 in clear"),
        _ => after(&what),
    };
    for protocol in &spoken {
        match *protocol {
            "http2" | "grpc" => {
                reactive = true;
                limits.push(late(format!("a call to {service} over {protocol}")));
            }
            "websocket" | "sse" => {
                reactive = true;
                limits.push(late(format!(
                    "a message of {protocol} to {service} on a stream that is open already"
                )));
                inline = true;
            }
            _ => inline = true,
        }
    }
    let tls = snapshot.capture.coverage.iter().filter(|one| aim.has(&one.workload));
    let read = called().any(|endpoint| endpoint.carriage.encrypted > 0);
    if read || tls.clone().any(|one| one.connections.decrypted > 0 || one.protocol == "tls") {
        reactive = true;
        limits.push(late(format!("a call to {service} over TLS")));
    }
    if tls
        .clone()
        .any(|one| one.protocol == "tls" && one.connections.opaque > 0 && one.connections.decrypted == 0)
    {
        limits.push(format!("{service} has TLS connections that cannot be read: nothing on them is stopped"));
    }
    if !inline && !reactive {
        inline = true;
        limits.push(format!(
            "no call to {service} was seen yet: it is taken to speak HTTP/1 in clear; what comes otherwise is closed after the fact"
        ));
    }
    let to = places(service, snapshot);
    if to.iter().all(|place| place.pid == 0 && place.id.starts_with("external:")) {
        limits.push(format!("{service} is not on this node: its requests cannot be answered here"));
    }
    let mut measures = Vec::new();
    if inline {
        measures.push(Measure { act, when: When::Inline, from: from.clone(), to: to.clone() });
    }
    if reactive && act != Act::Limit {
        measures.push(Measure { act: Act::Close, when: When::Reactive, from, to });
    }
    (measures, limits)
}

/// The places that a selector stands for; the selector itself where nobody was seen.
fn places(selector: &Selector, snapshot: &Snapshot) -> Vec<Place> {
    let found: Vec<Place> = Aim::of(selector, snapshot).workloads(snapshot).map(Place::of).collect();
    if !found.is_empty() {
        return found;
    }
    let address = selector.socket().map(|place| place.to_string());
    let address = address.or_else(|| selector.address().map(|ip| ip.to_string())).unwrap_or_default();
    vec![Place { id: selector.to_string(), pid: 0, address }]
}
