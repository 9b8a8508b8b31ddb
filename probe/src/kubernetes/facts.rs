//! What is kept of the objects of an API server: the few fields that tell who is who.

use super::mark::OWNERS;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use std::net::IpAddr;

/// Characters of a name: what Kubernetes allows, and nothing that a terminal or a path would take for something else.
const MAX_NAME: usize = 253;
/// Addresses, ports, endpoints of one object that are believed.
const MAX_PARTS: usize = 1_024;
/// On static pods: the UID by which their node calls them.
const STATIC_UID: &str = "kubernetes.io/config.hash";
/// On slices: the service.
const SERVICE: &str = "kubernetes.io/service-name";

/// Something that became known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Pod(Pod),
    /// An owner has this owner, or none.
    Owned(Reference, Option<Owner>),
    Service(Service),
    Slice(Slice),
    /// A node has these addresses.
    Node(String, Vec<IpAddr>),
    Gone(Gone),
}

/// Something that is not there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    Pod(String),
    Service(String, String),
    Slice(String, String),
    Node(String),
}

/// An object of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reference {
    pub(super) namespace: String,
    pub(super) kind: String,
    pub(super) name: String,
}

/// A controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
}

/// A pod; times are Unix nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) uid: String,
    /// Another UID that its node calls it by; empty when there is none.
    pub(super) alias: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) node: String,
    pub(super) account: String,
    /// Who looks after it; empty when no label says so.
    pub(super) keeper: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) host_network: bool,
    pub(super) owner: Option<Owner>,
    pub(super) started: Option<u64>,
    pub(super) ended: Option<u64>,
    /// Its object is gone.
    pub(super) gone: bool,
}

/// A service: where it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Vec<u16>,
    pub(super) node_ports: Vec<u16>,
}

/// A part of what is behind a service: UIDs of pods, `None` for somebody who is no pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) service: String,
    pub(super) pods: Vec<Option<String>>,
}

/// A name as Kubernetes allows it; `None` for what an API server that we should not trust made up.
pub(super) fn name(text: Option<&str>) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    text.filter(|text| !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(plain))
        .map(ToOwned::to_owned)
}

fn names(meta: &ObjectMeta) -> Option<(String, String)> {
    Some((name(meta.namespace.as_deref())?, name(meta.name.as_deref())?))
}

fn owner(references: Option<&[OwnerReference]>) -> Option<Owner> {
    let controller = references?.iter().find(|owner| owner.controller == Some(true))?;
    Some(Owner { kind: name(Some(&controller.kind))?, name: name(Some(&controller.name))? })
}

fn nanoseconds(time: &Time) -> Option<u64> {
    u64::try_from(time.0.as_nanosecond()).ok()
}

impl Pod {
    pub(super) fn of(object: &core::Pod) -> Option<Self> {
        let meta = &object.metadata;
        let (namespace, called) = names(meta)?;
        let (spec, status) = (object.spec.as_ref(), object.status.as_ref());
        let addresses = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default().iter();
        let first = status.and_then(|status| status.pod_ip.as_deref());
        let mut addresses: Vec<IpAddr> = addresses
            .map(|ip| ip.ip.as_str())
            .chain(first)
            .filter_map(|ip| ip.parse().ok())
            .take(MAX_PARTS)
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let over = matches!(status.and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
        let label = |key: &&str| name(meta.labels.as_ref()?.get(*key).map(String::as_str));
        let alias = meta.annotations.as_ref().and_then(|map| map.get(STATIC_UID)).map(String::as_str);
        Some(Self {
            uid: name(meta.uid.as_deref())?,
            alias: name(alias).unwrap_or_default(),
            namespace,
            name: called,
            node: name(spec.and_then(|spec| spec.node_name.as_deref())).unwrap_or_default(),
            account: name(spec.and_then(|spec| spec.service_account_name.as_deref())).unwrap_or_default(),
            keeper: OWNERS.iter().find_map(label).unwrap_or_default(),
            addresses,
            host_network: spec.and_then(|spec| spec.host_network).unwrap_or_default(),
            owner: owner(meta.owner_references.as_deref()),
            started: status.and_then(|status| nanoseconds(status.start_time.as_ref()?)),
            ended: over.then(|| status.and_then(finished)).flatten(),
            gone: false,
        })
    }
}

/// When the last container of a pod that is over ended.
fn finished(status: &core::PodStatus) -> Option<u64> {
    let containers = status.container_statuses.as_deref().unwrap_or_default().iter();
    let ends = containers
        .filter_map(|one| nanoseconds(one.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?));
    ends.max()
}

impl Service {
    pub(super) fn of(object: &core::Service) -> Option<Self> {
        let (namespace, called) = names(&object.metadata)?;
        let spec = object.spec.as_ref()?;
        let texts = spec
            .cluster_ips
            .iter()
            .flatten()
            .chain(&spec.cluster_ip)
            .chain(spec.external_ips.iter().flatten());
        let balancer = object.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
        let ingress = ingress.iter().filter_map(|one| one.ip.as_ref());
        let mut addresses: Vec<IpAddr> =
            texts.chain(ingress).filter_map(|text| text.parse().ok()).take(MAX_PARTS).collect();
        addresses.dedup();
        let ports = || spec.ports.iter().flatten().take(MAX_PARTS);
        Some(Self {
            namespace,
            name: called,
            addresses,
            ports: ports().filter_map(|port| u16::try_from(port.port).ok()).collect(),
            node_ports: ports().filter_map(|port| u16::try_from(port.node_port?).ok()).collect(),
        })
    }
}

impl Slice {
    pub(super) fn of(object: &EndpointSlice) -> Option<Self> {
        let (namespace, called) = names(&object.metadata)?;
        let service = object.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE));
        let pod = |target: &core::ObjectReference| match target.kind.as_deref() {
            Some("Pod") => name(target.uid.as_deref()),
            _ => None,
        };
        let endpoints = object.endpoints.iter().flatten();
        Some(Self {
            namespace,
            name: called,
            service: name(service.map(String::as_str))?,
            pods: endpoints
                .take(MAX_PARTS)
                .map(|endpoint| endpoint.target_ref.as_ref().and_then(pod))
                .collect(),
        })
    }
}

/// A node and its addresses.
pub(super) fn node(object: &core::Node) -> Option<Fact> {
    let status = object.status.as_ref();
    let addresses = status.and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    let addresses = addresses.iter().filter_map(|one| one.address.parse().ok()).take(MAX_PARTS).collect();
    Some(Fact::Node(name(object.metadata.name.as_deref())?, addresses))
}

/// What owns an object that owns others.
pub(super) fn owned(kind: &str, meta: &ObjectMeta) -> Option<(Reference, Option<Owner>)> {
    let (namespace, name) = names(meta)?;
    Some((Reference { namespace, kind: kind.to_owned(), name }, owner(meta.owner_references.as_deref())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_label_says_who_looks_after_a_pod() {
        let keeper = |labels: serde_json::Value| {
            let pod =
                json!({"metadata": {"namespace": "shop", "name": "cart", "uid": "u1", "labels": labels}});
            Pod::of(&serde_json::from_value(pod).unwrap()).unwrap().keeper
        };
        assert_eq!(keeper(json!({"app.kubernetes.io/part-of": "shop", "team": "checkout"})), "checkout");
        assert_eq!(keeper(json!({"apisec-top/owner": "payments", "owner": "x"})), "payments");
        assert_eq!(keeper(json!({"owner": "\u{1b}[31m", "app": "cart"})), "");
    }
}
