//! Who is who in a cluster, at which time: pods by UID and by address, their owners, services, nodes.
//!
//! Pure: it is told facts, in whatever order, and asked. Addresses are used again, so that an address belongs to a pod
//! from its start to its end, and where two claim it at once, to nobody.

use super::facts::{Fact, Gone, Owner, Pod, Reference, Service, Slice};
use crate::cluster::names::{Named, Tenant};
use apisec_engine::endpoint::Id;
use apisec_proto::call::{Workload, WorkloadKind};
use compact_str::{CompactString, format_compact};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

/// Pods that are known: twice the largest cluster that Kubernetes supports.
const MAX_PODS: usize = 300_000;
/// Owners, services and slices that are known, each.
const MAX_OTHERS: usize = 300_000;
/// Pods that one address had and that are remembered.
const MAX_TENANTS: usize = 8;
/// How long a pod that is gone is remembered: reports may be late. Nanoseconds.
const REMEMBERED: u64 = 600 * SECOND;
/// Kubernetes tells whole seconds.
const SECOND: u64 = 1_000_000_000;
/// Owners above each other that are followed.
const MAX_CHAIN: usize = 4;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Atlas {
    pods: HashMap<String, Pod>,
    /// UIDs by which a pod is called elsewhere: static pods are known on their node by another one.
    aliases: HashMap<String, String>,
    addresses: HashMap<IpAddr, Vec<Claim>>,
    /// Owner of an owner: a replica set's deployment, a job's cron job.
    owners: HashMap<Reference, Option<Owner>>,
    services: BTreeMap<(String, String), Service>,
    slices: BTreeMap<(String, String), Slice>,
    fronts: HashMap<IpAddr, BTreeSet<(String, String)>>,
    nodes: HashMap<IpAddr, String>,
    by_node: BTreeMap<String, Vec<IpAddr>>,
    /// Facts that there was no room for.
    pub(super) dropped: u64,
}

/// A pod has an address from here to there, Unix nanoseconds.
#[derive(Debug)]
struct Claim {
    uid: String,
    since: u64,
    until: u64,
}

impl Atlas {
    /// Takes in a fact that became known now.
    pub(super) fn learn(&mut self, fact: Fact, now: u64) {
        match fact {
            Fact::Pod(pod) => self.pod_is(pod, now),
            Fact::Owned(reference, owner) => {
                if self.owners.len() < MAX_OTHERS || self.owners.contains_key(&reference) {
                    self.owners.insert(reference, owner);
                } else {
                    self.dropped += 1;
                }
            }
            Fact::Service(service) => self.service_is(service),
            Fact::Slice(slice) => {
                let key = (slice.namespace.clone(), slice.name.clone());
                if self.slices.len() < MAX_OTHERS || self.slices.contains_key(&key) {
                    self.slices.insert(key, slice);
                } else {
                    self.dropped += 1;
                }
            }
            Fact::Node(name, addresses) => {
                self.node_is_gone(&name);
                addresses.iter().for_each(|address| drop(self.nodes.insert(*address, name.clone())));
                self.by_node.insert(name, addresses);
            }
            Fact::Gone(gone) => self.forget(gone, now),
        }
    }

    fn pod_is(&mut self, pod: Pod, now: u64) {
        if self.pods.len() >= MAX_PODS && !self.pods.contains_key(&pod.uid) {
            self.dropped += 1;
            return;
        }
        if !pod.alias.is_empty() {
            self.aliases.insert(pod.alias.clone(), pod.uid.clone());
        }
        // Whole seconds: it may have answered until the end of that one.
        let until = pod.ended.map_or(u64::MAX, |ended| ended.saturating_add(SECOND));
        // An address that all pods of a node share is the node's.
        for address in pod.addresses.iter().filter(|_| !pod.host_network) {
            let claims = self.addresses.entry(*address).or_default();
            match claims.iter_mut().find(|claim| claim.uid == pod.uid) {
                Some(claim) => claim.until = claim.until.min(until),
                None => {
                    claims.push(Claim { uid: pod.uid.clone(), since: pod.started.unwrap_or(now), until });
                    if claims.len() > MAX_TENANTS {
                        claims.remove(0);
                    }
                }
            }
        }
        self.pods.insert(pod.uid.clone(), pod);
    }

    fn service_is(&mut self, service: Service) {
        let key = (service.namespace.clone(), service.name.clone());
        if self.services.len() >= MAX_OTHERS && !self.services.contains_key(&key) {
            self.dropped += 1;
            return;
        }
        self.withdraw(&key);
        for address in &service.addresses {
            self.fronts.entry(*address).or_default().insert(key.clone());
        }
        self.services.insert(key, service);
    }

    fn withdraw(&mut self, key: &(String, String)) {
        let Some(old) = self.services.remove(key) else { return };
        for address in old.addresses {
            if let Some(keys) = self.fronts.get_mut(&address) {
                keys.remove(key);
                if keys.is_empty() {
                    self.fronts.remove(&address);
                }
            }
        }
    }

    fn node_is_gone(&mut self, name: &str) {
        for address in self.by_node.remove(name).unwrap_or_default() {
            self.nodes.remove(&address);
        }
    }

    fn forget(&mut self, gone: Gone, now: u64) {
        match gone {
            Gone::Pod(uid) => {
                let Some(pod) = self.pods.get_mut(&uid) else { return };
                let ended = *pod.ended.get_or_insert(now);
                pod.gone = true;
                for address in &pod.addresses {
                    let claims = self.addresses.get_mut(address).into_iter().flatten();
                    claims.filter(|claim| claim.uid == uid).for_each(|claim| {
                        claim.until = claim.until.min(ended.max(claim.since).saturating_add(SECOND));
                    });
                }
            }
            Gone::Service(namespace, name) => self.withdraw(&(namespace, name)),
            Gone::Slice(namespace, name) => drop(self.slices.remove(&(namespace, name))),
            Gone::Node(name) => self.node_is_gone(&name),
        }
    }

    /// Everything of a kind is told anew (after the API server had forgotten what we know): what is not told is gone.
    pub(super) fn keep_pods(&mut self, told: &BTreeSet<String>, now: u64) {
        let gone: Vec<String> = self
            .pods
            .values()
            .filter(|pod| !pod.gone && !told.contains(&pod.uid))
            .map(|pod| pod.uid.clone())
            .collect();
        gone.into_iter().for_each(|uid| self.forget(Gone::Pod(uid), now));
    }

    /// As [`Atlas::keep_pods`], for services.
    pub(super) fn keep_services(&mut self, told: &BTreeSet<String>) {
        let gone: Vec<(String, String)> = self
            .services
            .keys()
            .filter(|(ns, name)| !told.contains(&format!("{ns}/{name}")))
            .cloned()
            .collect();
        gone.iter().for_each(|key| self.withdraw(key));
    }

    /// As [`Atlas::keep_pods`], for slices.
    pub(super) fn keep_slices(&mut self, told: &BTreeSet<String>) {
        self.slices.retain(|(ns, name), _| told.contains(&format!("{ns}/{name}")));
    }

    /// As [`Atlas::keep_pods`], for nodes.
    pub(super) fn keep_nodes(&mut self, told: &BTreeSet<String>) {
        let gone: Vec<String> = self.by_node.keys().filter(|name| !told.contains(*name)).cloned().collect();
        gone.iter().for_each(|name| self.node_is_gone(name));
    }

    /// As [`Atlas::keep_pods`], for owners of a kind.
    pub(super) fn keep_owners(&mut self, kind: &str, told: &BTreeSet<String>) {
        self.owners.retain(|one, _| {
            one.kind != kind || told.contains(&format!("{kind}/{}/{}", one.namespace, one.name))
        });
    }

    /// Drops what nobody can ask for any more.
    pub(super) fn prune(&mut self, now: u64) {
        let old = now.saturating_sub(REMEMBERED);
        let forgotten: Vec<String> = self
            .pods
            .values()
            .filter(|pod| pod.gone && pod.ended.is_some_and(|ended| ended < old))
            .map(|pod| pod.uid.clone())
            .collect();
        for uid in forgotten {
            let Some(pod) = self.pods.remove(&uid) else { continue };
            self.aliases.remove(&pod.alias);
            for address in pod.addresses {
                if let Some(claims) = self.addresses.get_mut(&address) {
                    claims.retain(|claim| claim.uid != uid);
                    if claims.is_empty() {
                        self.addresses.remove(&address);
                    }
                }
            }
        }
    }

    /// The workload that a pod is part of.
    pub(super) fn pod(&self, uid: &str) -> Option<Named> {
        let pod = self.pods.get(uid).or_else(|| self.pods.get(self.aliases.get(uid)?))?;
        Some(self.named(pod))
    }

    /// Who had an address at that time.
    pub(super) fn at(&self, address: IpAddr, at: u64) -> Tenant {
        let claims = self.addresses.get(&address).map_or(&[][..], Vec::as_slice);
        let mut held = claims.iter().filter(|claim| claim.since <= at && at <= claim.until);
        match (held.next(), held.next()) {
            (Some(claim), None) => {
                self.pod(&claim.uid).map_or(Tenant::Unknown, |named| Tenant::Named(Box::new(named)))
            }
            (Some(_), Some(_)) => Tenant::Unknown,
            (None, _) => self.nodes.get(&address).map_or(Tenant::Unknown, |node| Tenant::Node(node.clone())),
        }
    }

    /// Who answered there at that time: a pod, or those behind a service.
    pub(super) fn server(&self, address: SocketAddr, at: u64) -> Tenant {
        if let Some(service) = self.service(address) {
            return Tenant::Named(Box::new(self.behind(service)));
        }
        match self.at(address.ip(), at) {
            // What answers at a node's address may be anything that runs there.
            Tenant::Node(_) => Tenant::Unknown,
            known => known,
        }
    }

    fn service(&self, address: SocketAddr) -> Option<&Service> {
        let port = address.port();
        let keys = self.fronts.get(&address.ip());
        let at_front = keys.into_iter().flatten().filter_map(|key| self.services.get(key));
        at_front.clone().find(|service| service.ports.contains(&port)).or_else(|| {
            self.nodes.get(&address.ip())?;
            self.services.values().find(|service| service.node_ports.contains(&port))
        })
    }

    /// The workload behind a service if it is one; else the service.
    fn behind(&self, service: &Service) -> Named {
        let of = |slice: &&Slice| slice.namespace == service.namespace && slice.service == service.name;
        let first = (service.namespace.clone(), String::new());
        let slices = self.slices.range(first..).map(|(_, slice)| slice);
        let slices = slices.take_while(|slice| slice.namespace == service.namespace).filter(of);
        let mut workloads: BTreeMap<Id, Named> = BTreeMap::new();
        for uid in slices.flat_map(|slice| &slice.pods) {
            match uid.as_deref().and_then(|uid| self.pod(uid)) {
                Some(named) => drop(workloads.insert(named.id.clone(), named)),
                // Somebody whom we do not know is behind it as well.
                None => return self.itself(service),
            }
        }
        match (workloads.pop_first(), workloads.is_empty()) {
            (Some((_, only)), true) => only,
            _ => self.itself(service),
        }
    }

    fn itself(&self, service: &Service) -> Named {
        let name = format_compact!("{}/{}", service.namespace, service.name);
        let id = format_compact!("service:{name}");
        let address =
            service.addresses.first().map(|address| format_compact!("{address}")).unwrap_or_default();
        let workload = Workload { address, ..Workload::named(&id, &name, WorkloadKind::External) };
        Named { id: Id::from(&*id), workload }
    }

    fn named(&self, pod: &Pod) -> Named {
        let (kind, name) = self.controller(pod);
        let called = format_compact!("{}/{name}", pod.namespace);
        // Of callers that use their node's network the server's node knows the node only: its name is in the id, so
        // that what they say of their calls explains those (see `engine/src/knowledge/peers.rs`).
        let (id, called): (CompactString, CompactString) = if pod.host_network && !pod.node.is_empty() {
            (format_compact!("{kind}:{}/{called}", pod.node), format_compact!("{called}@{}", pod.node))
        } else {
            (format_compact!("{kind}:{called}"), called)
        };
        let account = &pod.account;
        let user = if account.is_empty() {
            CompactString::default()
        } else {
            format_compact!("system:serviceaccount:{}:{account}", pod.namespace)
        };
        let workload = Workload {
            user,
            pod_uid: pod.uid.as_str().into(),
            owner: pod.keeper.as_str().into(),
            ..Workload::named(&id, &called, kind_of(&kind))
        };
        Named { id: Id::from(&*id), workload }
    }

    /// The controller at the end of the chain: kind in lower case, and name.
    fn controller(&self, pod: &Pod) -> (String, String) {
        let Some(mut owner) = pod.owner.clone().filter(|owner| owner.kind != "Node") else {
            return ("pod".into(), pod.name.clone());
        };
        for _ in 0..MAX_CHAIN {
            let reference = Reference {
                namespace: pod.namespace.clone(),
                kind: owner.kind.clone(),
                name: owner.name.clone(),
            };
            match self.owners.get(&reference) {
                Some(Some(above)) => owner = above.clone(),
                _ => break,
            }
        }
        (owner.kind.to_ascii_lowercase(), owner.name)
    }

    /// Whether the chain above a pod may still grow: its owner is of a kind that has owners, and was not told yet.
    pub(super) fn is_open(&self, uid: &str) -> bool {
        let Some(pod) = self.pods.get(uid).or_else(|| self.pods.get(self.aliases.get(uid)?)) else {
            return true;
        };
        pod.owner.as_ref().is_some_and(|owner| {
            let reference = Reference {
                namespace: pod.namespace.clone(),
                kind: owner.kind.clone(),
                name: owner.name.clone(),
            };
            matches!(owner.kind.as_str(), "ReplicaSet" | "Job") && !self.owners.contains_key(&reference)
        })
    }

    /// Names of workloads that run on nodes that are watched and on others: of the calls to these a part is seen.
    pub(super) fn partly(&self, watched: &dyn Fn(&str) -> bool) -> BTreeSet<CompactString> {
        let mut sides: BTreeMap<CompactString, (bool, bool)> = BTreeMap::new();
        for pod in self.pods.values().filter(|pod| !pod.gone && pod.ended.is_none() && !pod.host_network) {
            let side = sides.entry(self.named(pod).workload.name).or_default();
            let seen = watched(&pod.node);
            (side.0, side.1) = (side.0 || seen, side.1 || !seen && !pod.node.is_empty());
        }
        sides.into_iter().filter(|(_, side)| *side == (true, true)).map(|(name, _)| name).collect()
    }
}

fn kind_of(kind: &str) -> WorkloadKind {
    match kind {
        "deployment" => WorkloadKind::Deployment,
        "statefulset" => WorkloadKind::StatefulSet,
        "daemonset" => WorkloadKind::DaemonSet,
        "job" | "cronjob" => WorkloadKind::Job,
        _ => WorkloadKind::Pod,
    }
}

#[cfg(test)]
mod tests;
