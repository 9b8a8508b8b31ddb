//! NetworkPolicy (`networking.k8s.io/v1`): a list of what is allowed. It has no word for "refuse".
//!
//! To refuse one caller, all others are allowed. That holds only while no other NetworkPolicy selects the same pods:
//! what several allow adds up, so that ours would open what theirs close.

use super::{Backend, BackendName, Job, Party, Pods, Rendered, Unsayable, labels};
use crate::policy::Scope;
use serde_json::{Value, json};
use std::net::IpAddr;

/// The backend.
pub(super) const BACKEND: Backend = Backend {
    name: BackendName::Networkpolicy,
    group: "networking.k8s.io",
    version: "v1",
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    render,
};

/// The label that every namespace has, its name.
const NAMESPACE: &str = "kubernetes.io/metadata.name";

fn render(job: &Job<'_>) -> Result<Rendered, Unsayable> {
    match &job.policy.spec.scope {
        Scope::Edge(_) => edge(job),
        Scope::Quarantine(quarantine) => Ok(quarantined(job, quarantine.cut_dns)),
        Scope::Endpoint(_) => Err(Unsayable::new(
            "a NetworkPolicy knows addresses and ports, neither methods nor paths",
            "use backend: ebpf or istio, or a policy of scope `edge` for the whole caller",
        )),
        scope => Err(Unsayable::scope("a NetworkPolicy", scope)),
    }
}

fn edge(job: &Job<'_>) -> Result<Rendered, Unsayable> {
    if let [first, ..] = job.ground.selected_by.as_slice() {
        return Err(Unsayable::new(
            format!(
                "the NetworkPolicy {first} selects these pods too: what several allow adds up, and ours, which allows \
                 everybody but one caller, would open what it closes"
            ),
            format!("take the caller out of {first}, or use backend: ebpf, or cilium, which can refuse"),
        ));
    }
    let others = match job.from {
        Some(Party::Pods(caller)) => all_but_pods(caller, &job.ground.pod_networks)?,
        Some(Party::Address(address)) => {
            json!([{"namespaceSelector": {}}, {"ipBlock": all_but(*address)}])
        }
        None => return Err(Unsayable::new("an edge has a caller", "name it in scope.edge.from")),
    };
    let spec =
        json!({"podSelector": labels(job.target), "policyTypes": ["Ingress"], "ingress": [{"from": others}]});
    let notes = vec![
        "allow-list: everybody but this caller is allowed by name; whoever has none of these names is refused".into(),
        "pods that use their node's network are not told from the node".into(),
        "connections that are open already stay open in most networks".into(),
    ];
    Ok(Rendered { spec, notes })
}

/// Every peer but these pods: those of other namespaces, those of theirs with other labels, and what is no pod.
fn all_but_pods(caller: &Pods, networks: &[String]) -> Result<Value, Unsayable> {
    if caller.labels.is_empty() {
        return Err(Unsayable::new(
            "the caller has no labels",
            "name a service or a controller with a selector",
        ));
    }
    if networks.is_empty() {
        return Err(Unsayable::new(
            "it is not known which addresses pods have, so that what is no pod cannot be allowed without the caller",
            "the right to list nodes shows spec.podCIDRs; or use backend: ebpf",
        ));
    }
    let namespace =
        |operator: &str| json!([{"key": NAMESPACE, "operator": operator, "values": [caller.namespace]}]);
    let mut peers = vec![json!({"namespaceSelector": {"matchExpressions": namespace("NotIn")}})];
    // Pods that differ in one of the labels are others.
    for (key, value) in &caller.labels {
        peers.push(json!({
            "namespaceSelector": {"matchExpressions": namespace("In")},
            "podSelector": {"matchExpressions": [{"key": key, "operator": "NotIn", "values": [value]}]},
        }));
    }
    for (whole, is_six) in [("0.0.0.0/0", false), ("::/0", true)] {
        let except: Vec<&String> =
            networks.iter().filter(|network| network.contains(':') == is_six).collect();
        peers.push(json!({"ipBlock": if except.is_empty() { json!({"cidr": whole}) } else {
            json!({"cidr": whole, "except": except})
        }}));
    }
    Ok(peers.into())
}

fn all_but(address: IpAddr) -> Value {
    match address {
        IpAddr::V4(four) => json!({"cidr": "0.0.0.0/0", "except": [format!("{four}/32")]}),
        IpAddr::V6(six) => json!({"cidr": "::/0", "except": [format!("{six}/128")]}),
    }
}

fn quarantined(job: &Job<'_>, cut_dns: bool) -> Rendered {
    let mut notes = vec![
        "connections that are open already stay open in most networks".to_owned(),
        "the node itself still reaches the pods, as probes of the kubelet do".to_owned(),
    ];
    for other in &job.ground.selected_by {
        notes.push(format!("the NetworkPolicy {other} selects these pods too: what it allows stays allowed"));
    }
    let peers: Vec<Value> = job.allow.iter().map(peer).collect();
    let ingress = if peers.is_empty() { json!([]) } else { json!([{ "from": peers }]) };
    let mut egress: Vec<Value> = Vec::new();
    if !peers.is_empty() {
        egress.push(json!({ "to": peers }));
    }
    if !cut_dns {
        egress.push(json!({"to": [{"namespaceSelector": {"matchLabels": {NAMESPACE: "kube-system"}}}],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}));
        notes.push("names are still resolved by kube-system (cutDns: true cuts that too)".into());
    }
    let spec = json!({
        "podSelector": labels(job.target), "policyTypes": ["Ingress", "Egress"], "ingress": ingress, "egress": egress,
    });
    Rendered { spec, notes }
}

fn peer(party: &Party) -> Value {
    match party {
        Party::Pods(pods) => json!({
            "namespaceSelector": {"matchLabels": {NAMESPACE: pods.namespace}}, "podSelector": labels(pods),
        }),
        Party::Address(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            json!({"ipBlock": {"cidr": format!("{address}/{bits}")}})
        }
    }
}
