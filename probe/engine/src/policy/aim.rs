//! Whom a policy means: the workloads of a snapshot that a [`Selector`] stands for.

use super::{Quarantine, Scope, Selector};
use crate::snapshot::{Snapshot, WorkloadView};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The workloads that a selector stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aim<'s> {
    ids: BTreeSet<&'s str>,
}

impl<'s> Aim<'s> {
    /// The workloads that `selector` stands for.
    #[must_use]
    pub fn of(selector: &Selector, snapshot: &'s Snapshot) -> Self {
        Self::any_of(std::slice::from_ref(selector), snapshot)
    }

    /// The workloads that any of `selectors` stands for.
    #[must_use]
    pub fn any_of(selectors: &[Selector], snapshot: &'s Snapshot) -> Self {
        let meant = |workload: &&WorkloadView| selectors.iter().any(|selector| means(selector, workload));
        Self { ids: snapshot.workloads.iter().filter(meant).map(|workload| workload.id.as_str()).collect() }
    }

    /// Whether a workload is meant.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Whether nobody is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Their ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = &'s str> + '_ {
        self.ids.iter().copied()
    }

    /// What is known of them.
    pub fn workloads<'a>(&'a self, snapshot: &'s Snapshot) -> impl Iterator<Item = &'s WorkloadView> + 'a {
        snapshot.workloads.iter().filter(|workload| self.has(&workload.id))
    }
}

/// Whether a selector stands for a workload: by id or name, by an address, or by address and port.
#[must_use]
pub fn means(selector: &Selector, workload: &WorkloadView) -> bool {
    if selector.means(&workload.id, &workload.name) {
        return true;
    }
    let place: Option<SocketAddr> = workload.address.parse().ok();
    if let Some(wanted) = selector.socket() {
        return place.is_some_and(|place| {
            place.port() == wanted.port() && (place.ip() == wanted.ip() || place.ip().is_unspecified())
        });
    }
    match selector.address() {
        Some(wanted) => place
            .map(|place| place.ip())
            .or_else(|| workload.address.parse().ok())
            .is_some_and(|ip| ip == wanted),
        None => false,
    }
}

/// The selectors of a scope, by the field that they stand in.
pub fn selectors(scope: &Scope) -> Vec<(&'static str, &Selector)> {
    let mut all = Vec::new();
    match scope {
        Scope::Edge(edge) => all.extend([("from", &edge.from), ("to", &edge.to)]),
        Scope::Endpoint(endpoint) => {
            all.push(("service", &endpoint.service));
            all.extend(endpoint.from.iter().map(|from| ("from", from)));
        }
        Scope::Identity(identity) => all.extend(identity.service.iter().map(|service| ("service", service))),
        Scope::Rate(rate) => {
            all.push(("service", &rate.service));
            all.extend(rate.from.iter().map(|from| ("from", from)));
        }
        Scope::Quarantine(Quarantine { workload, allow, .. }) => {
            all.push(("workload", workload));
            all.extend(allow.iter().map(|allowed| ("allow", allowed)));
        }
    }
    all
}
