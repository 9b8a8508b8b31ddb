//! CiliumNetworkPolicy (`cilium.io/v2`): it can refuse peers, and allow requests; it cannot refuse requests.
//!
//! Rules that refuse outrank those that allow. `enableDefaultDeny: false` (Cilium 1.16 and newer) keeps a policy
//! that only refuses from refusing everybody else; where the API server drops that field, the object must not be
//! applied, and whoever applies it compares.

use super::{Backend, BackendName, Job, Party, Pods, Rendered, Unsayable, labels, path};
use crate::policy::{Endpoint, PathPattern, Scope};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The backend.
pub(super) const BACKEND: Backend = Backend {
    name: BackendName::Cilium,
    group: "cilium.io",
    version: "v2",
    kind: "CiliumNetworkPolicy",
    plural: "ciliumnetworkpolicies",
    render,
};

/// Rules of one object that are sensible: an allow-list of a service.
const MAX_RULES: usize = 500;

fn render(job: &Job<'_>) -> Result<Rendered, Unsayable> {
    match &job.policy.spec.scope {
        Scope::Edge(_) => edge(job),
        Scope::Endpoint(endpoint) => allow_list(job, endpoint),
        Scope::Quarantine(quarantine) => Ok(quarantined(job, quarantine.cut_dns)),
        scope => Err(Unsayable::scope("a CiliumNetworkPolicy", scope)),
    }
}

fn edge(job: &Job<'_>) -> Result<Rendered, Unsayable> {
    let Some(from) = job.from else {
        return Err(Unsayable::new("an edge has a caller", "name it in scope.edge.from"));
    };
    let spec = json!({
        "endpointSelector": labels(job.target),
        "enableDefaultDeny": {"ingress": false, "egress": false},
        "ingressDeny": [peer(from, "from")],
    });
    Ok(Rendered {
        spec,
        notes: vec!["a rule that refuses: it outranks every rule that allows this caller".into()],
    })
}

/// All requests that were observed but those that the policy stops: the only way to stop one.
fn allow_list(job: &Job<'_>, endpoint: &Endpoint) -> Result<Rendered, Unsayable> {
    if job.target.ports.is_empty() {
        return Err(Unsayable::new(
            "it is not known at which ports the service is called",
            "name a service with ports",
        ));
    }
    if endpoint.from.is_some() {
        return Err(Unsayable::new(
            "Cilium refuses no requests, and an allow-list for one caller would refuse that caller every request that was not \
             observed",
            "use backend: istio or ebpf",
        ));
    }
    let stopped = |method: &str, template: &str| {
        endpoint.method.covers(method.as_bytes()) && overlaps(&endpoint.path, template)
    };
    let mut rules: BTreeMap<(String, String), Value> = BTreeMap::new();
    let mut unsaid = 0_usize;
    for (method, template) in
        job.ground.observed.iter().filter(|(method, template)| !stopped(method, template))
    {
        match path::expression(template) {
            Some(path) => {
                let rule = json!({"method": method, "path": path});
                rules.insert((method.clone(), template.clone()), rule);
            }
            None => unsaid += 1,
        }
    }
    if rules.is_empty() || rules.len() > MAX_RULES {
        return Err(Unsayable::new(
            format!(
                "Cilium refuses no requests: an allow-list would hold the {} others that were observed",
                rules.len()
            ),
            "observe the service for longer, or use backend: istio or ebpf",
        ));
    }
    let mut notes = vec![format!(
        "allow-list: only the {} operations of this service that were observed, and are not stopped, are allowed; every other \
         request is answered 403",
        rules.len()
    )];
    if unsaid > 0 {
        notes.push(format!("{unsaid} rows of the inventory are no paths, and are refused"));
    }
    let ports: Vec<Value> =
        job.target.ports.iter().map(|port| json!({"port": port.to_string(), "protocol": "TCP"})).collect();
    let http: Vec<Value> = rules.into_values().collect();
    let spec = json!({
        "endpointSelector": labels(job.target),
        "ingress": [{"fromEntities": ["all"], "toPorts": [{"ports": ports, "rules": {"http": http}}]}],
    });
    Ok(Rendered { spec, notes })
}

/// Whether a pattern could cover a call of this template: in doubt it does, and the call is stopped.
fn overlaps(pattern: &PathPattern, template: &str) -> bool {
    use crate::policy::pattern::Part;
    let Some(other) = PathPattern::of_template(template) else { return false };
    let same = pattern.parts().iter().zip(other.parts()).all(|pair| match pair {
        (Part::Literal(one), Part::Literal(two)) => one.eq_ignore_ascii_case(two),
        _ => true,
    });
    let (ours, theirs) = (pattern.parts().len(), other.parts().len());
    let long_enough =
        ours == theirs || (pattern.has_rest() && ours <= theirs) || (other.has_rest() && theirs <= ours);
    same && (long_enough || (pattern.has_rest() && other.has_rest()))
}

fn quarantined(job: &Job<'_>, cut_dns: bool) -> Rendered {
    let mut notes = vec!["the node itself still reaches the pods, as probes of the kubelet do".to_owned()];
    let (mut ingress, mut egress): (Vec<Value>, Vec<Value>) =
        job.allow.iter().map(|party| (peer(party, "from"), peer(party, "to"))).unzip();
    if !cut_dns {
        egress.push(json!({
            "toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s:k8s-app": "kube-dns"}}],
            "toPorts": [{"ports": [{"port": "53", "protocol": "ANY"}]}],
        }));
        notes.push("names are still resolved by kube-dns (cutDns: true cuts that too)".into());
    }
    // An empty list would be no list at all; one empty rule allows nobody and still puts the pods under default deny.
    for list in [&mut ingress, &mut egress] {
        if list.is_empty() {
            list.push(json!({}));
        }
    }
    for other in &job.ground.selected_by {
        notes.push(format!("the policy {other} selects these pods too: what it allows stays allowed"));
    }
    let spec = json!({"endpointSelector": labels(job.target), "ingress": ingress, "egress": egress});
    Rendered { spec, notes }
}

/// A peer of a rule in the direction `from` or `to`.
fn peer(party: &Party, direction: &str) -> Value {
    match party {
        Party::Pods(Pods { namespace, labels, .. }) => {
            let mut matched: BTreeMap<String, &str> =
                labels.iter().map(|(key, value)| (format!("k8s:{key}"), value.as_str())).collect();
            matched.insert("k8s:io.kubernetes.pod.namespace".into(), namespace);
            json!({ format!("{direction}Endpoints"): [{ "matchLabels": matched }] })
        }
        Party::Address(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            json!({ format!("{direction}CIDR"): [format!("{address}/{bits}")] })
        }
    }
}
