//! KubeArmorPolicy (`security.kubearmor.com/v1`): what a container's processes may do, through a Linux security module.
//!
//! Of the network it knows protocols, not peers: it can take a workload off the network as a whole, and nothing less.

use super::{Backend, BackendName, Job, Rendered, Unsayable, labels};
use crate::policy::Scope;
use serde_json::json;

/// The backend.
pub(super) const BACKEND: Backend = Backend {
    name: BackendName::Kubearmor,
    group: "security.kubearmor.com",
    version: "v1",
    kind: "KubeArmorPolicy",
    plural: "kubearmorpolicies",
    render,
};

fn render(job: &Job<'_>) -> Result<Rendered, Unsayable> {
    match &job.policy.spec.scope {
        Scope::Quarantine(_) if job.allow.is_empty() => Ok(quarantined(job)),
        Scope::Quarantine(_) => Err(Unsayable::new(
            "a KubeArmorPolicy knows protocols, not peers: it can allow nobody in particular",
            "use backend: networkpolicy, cilium or ebpf, or leave out scope.quarantine.allow",
        )),
        Scope::Edge(_) | Scope::Endpoint(_) => Err(Unsayable::new(
            "a KubeArmorPolicy knows protocols, neither peers nor requests",
            "use backend: ebpf, istio, cilium or networkpolicy",
        )),
        scope => Err(Unsayable::scope("a KubeArmorPolicy", scope)),
    }
}

fn quarantined(job: &Job<'_>) -> Rendered {
    let spec = json!({
        "selector": labels(job.target),
        "severity": 7,
        "network": {"matchProtocols": [{"protocol": "tcp"}, {"protocol": "udp"}]},
        "action": "Block",
        "message": "quarantined by apisec-top",
    });
    let notes = vec![
        "the pods can open no TCP and UDP sockets: names cannot be resolved either, and their servers cannot begin to listen".into(),
        "sockets that are open already stay usable where the security module looks at their creation only".into(),
    ];
    Rendered { spec, notes }
}
