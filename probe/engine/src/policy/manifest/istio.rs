//! AuthorizationPolicy (`security.istio.io/v1`) with action DENY: requests are refused by method, path and caller.
//!
//! It is enforced by the proxy of the pods: a sidecar or a waypoint. Callers are known by their certificate, so that a
//! rule about a caller refuses nobody where plain text is allowed.

use super::{Backend, BackendName, Job, Party, Rendered, Unsayable, labels, path};
use crate::policy::{Endpoint, Scope};
use serde_json::{Map, Value, json};

/// The backend.
pub(super) const BACKEND: Backend = Backend {
    name: BackendName::Istio,
    group: "security.istio.io",
    version: "v1",
    kind: "AuthorizationPolicy",
    plural: "authorizationpolicies",
    render,
};

fn render(job: &Job<'_>) -> Result<Rendered, Unsayable> {
    let mut notes = Vec::new();
    let mut rule = Map::new();
    match &job.policy.spec.scope {
        Scope::Edge(_) => {}
        Scope::Endpoint(endpoint) => {
            rule.insert("to".into(), json!([{ "operation": operation(endpoint, job, &mut notes)? }]));
        }
        scope => {
            return Err(match scope {
                Scope::Quarantine(_) => Unsayable::new(
                    "an AuthorizationPolicy refuses what comes in through the proxy, neither what goes out nor what passes it by",
                    "use backend: networkpolicy, cilium or ebpf",
                ),
                _ => Unsayable::scope("an AuthorizationPolicy", scope),
            });
        }
    }
    if let Some(from) = job.from {
        rule.insert("from".into(), json!([{ "source": source(from, job, &mut notes)? }]));
    } else if matches!(job.policy.spec.scope, Scope::Edge(_)) {
        return Err(Unsayable::new("an edge has a caller", "name it in scope.edge.from"));
    }
    Ok(Rendered { spec: json!({"selector": labels(job.target), "action": "DENY", "rules": [rule]}), notes })
}

fn operation(endpoint: &Endpoint, job: &Job<'_>, notes: &mut Vec<String>) -> Result<Value, Unsayable> {
    let Some(paths) = path::istio(&endpoint.path) else {
        return Err(Unsayable::new(
            format!("Istio has no template for the path {}", endpoint.path),
            "use backend: ebpf, or a parameter for the segment",
        ));
    };
    let mut operation = Map::from_iter([("paths".to_owned(), json!(paths))]);
    if let Some(method) = endpoint.method.one() {
        // The same code answers HEAD.
        let methods = if method == "GET" { json!(["GET", "HEAD"]) } else { json!([method]) };
        operation.insert("methods".into(), methods);
        notes.push(
            "a method that a field of the request asks for instead (X-HTTP-Method-Override) is not looked at"
                .into(),
        );
    }
    if !job.policy.spec.case_sensitive {
        notes.push("Istio compares paths in their case: other spellings are let through (caseSensitive: true says so)".into());
    }
    notes.push("paths are compared as the mesh normalizes them (meshConfig.pathNormalization)".into());
    Ok(operation.into())
}

fn source(from: &Party, job: &Job<'_>, notes: &mut Vec<String>) -> Result<Value, Unsayable> {
    match from {
        Party::Address(address) => {
            notes.push(
                "the caller's address is that of the connection: behind a proxy it is the proxy's".into(),
            );
            Ok(json!({"ipBlocks": [address.to_string()]}))
        }
        Party::Pods(caller) if caller.account.is_empty() => Err(Unsayable::new(
            "the caller's pods run as several service accounts, and Istio knows callers by these",
            "use backend: ebpf, cilium or networkpolicy",
        )),
        Party::Pods(caller) => {
            let domain =
                if job.ground.trust_domain.is_empty() { "cluster.local" } else { &job.ground.trust_domain };
            let principal = format!("{domain}/ns/{}/sa/{}", caller.namespace, caller.account);
            notes.push(format!(
                "the caller is known by its certificate as {principal}: every pod with this service account is refused, and \
                 nobody who calls in plain text"
            ));
            Ok(json!({ "principals": [principal] }))
        }
    }
}
