//! A policy as an object of Kubernetes, for whatever enforces policies there: pure, from names that have been resolved.
//!
//! None of these can say everything. What one cannot say is refused with the reason and never narrowed or widened
//! silently; what an object means beyond the words of the policy is a note that the operator reads before it is applied.
//! Who the parties are, whether anybody enforces the object, and what is done with it, is decided where the API
//! server is asked.

mod cilium;
mod istio;
mod kubearmor;
mod networkpolicy;
mod path;
#[cfg(test)]
mod tests;

use super::{BackendName, Policy, Scope};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Every backend that is an object of the API server: one file and one line.
pub const BACKENDS: &[&Backend] =
    &[&networkpolicy::BACKEND, &cilium::BACKEND, &istio::BACKEND, &kubearmor::BACKEND];

/// On every object of ours: which policy it is.
pub const POLICY_LABEL: &str = "apisec-top/policy";
/// Longest value of a label.
const MAX_LABEL: usize = 63;

/// One kind of object that clusters enforce.
#[derive(Debug)]
pub struct Backend {
    /// Which one.
    pub name: BackendName,
    /// Group of its API.
    pub group: &'static str,
    /// Version of its API.
    pub version: &'static str,
    /// Kind of the object.
    pub kind: &'static str,
    /// How the kind is called in URLs.
    pub plural: &'static str,
    /// The `spec`, or why it cannot be said.
    render: fn(&Job<'_>) -> Result<Rendered, Unsayable>,
}

/// Some pods of one namespace, by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// Their namespace.
    pub namespace: String,
    /// Labels that all of them have, and no other pod of the namespace.
    pub labels: BTreeMap<String, String>,
    /// The service account that all of them run as; empty when they differ.
    pub account: String,
    /// Ports that they are called at.
    pub ports: Vec<u16>,
}

/// Whom a name in a policy stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// Pods.
    Pods(Pods),
    /// Somebody outside the cluster.
    Address(IpAddr),
}

/// What is known of the cluster that changes what an object means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// Networks that pods have addresses of, such as `10.244.0.0/16`.
    pub pod_networks: Vec<String>,
    /// Other NetworkPolicies that select the pods of this policy.
    pub selected_by: Vec<String>,
    /// The trust domain of the mesh.
    pub trust_domain: String,
    /// Operations of the service that were observed, as method and path template: what an allow-list would hold.
    pub observed: Vec<(String, String)>,
}

/// A policy with its names resolved.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Whom it protects, or cuts off: the pods that the object selects.
    pub target: &'a Pods,
    /// Who calls; `None` for everybody.
    pub from: Option<&'a Party>,
    /// With whom a quarantined workload may still talk.
    pub allow: &'a [Party],
    /// The cluster.
    pub ground: &'a Ground,
}

/// Why a backend cannot say a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsayable {
    /// What it lacks.
    pub why: String,
    /// What to do instead.
    pub instead: String,
}

/// A `spec`, and what it means beyond the words of the policy.
#[derive(Clone, Debug, PartialEq)]
struct Rendered {
    spec: Value,
    notes: Vec<String>,
}

/// An object to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The whole object.
    pub object: Value,
    /// What it means beyond the words of the policy, for the operator to read.
    pub notes: Vec<String>,
}

impl Backend {
    /// The backend of a policy; `None` when it is the kernel of the nodes.
    #[must_use]
    pub fn of(policy: &Policy) -> Option<&'static Self> {
        BACKENDS.iter().copied().find(|backend| backend.name == policy.spec.backend)
    }

    /// `group/version`.
    #[must_use]
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }

    /// The object of a policy.
    ///
    /// # Errors
    /// This backend cannot say it.
    pub fn manifest(&self, job: &Job<'_>) -> Result<Manifest, Unsayable> {
        if job.target.labels.is_empty() {
            return Err(Unsayable::new(
                "the pods of the target have no labels of their own: the object would select the whole namespace",
                "name a service or a controller with a selector",
            ));
        }
        let Rendered { spec, notes } = (self.render)(job)?;
        let name = job.policy.metadata.name.as_str();
        let mut annotations = Map::new();
        annotations.insert("apisec-top/stops".into(), job.policy.describe().into());
        if !job.policy.spec.reason.is_empty() {
            annotations.insert("apisec-top/reason".into(), job.policy.spec.reason.as_str().into());
        }
        let object = json!({
            "apiVersion": self.api_version(),
            "kind": self.kind,
            "metadata": {
                "name": object_name(name),
                "namespace": job.target.namespace,
                "labels": {"app.kubernetes.io/managed-by": "kubectl-apisec", POLICY_LABEL: name},
                "annotations": annotations,
            },
            "spec": spec,
        });
        Ok(Manifest { object, notes })
    }
}

impl Unsayable {
    fn new(why: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { why: why.into(), instead: instead.into() }
    }

    /// Neither credentials nor rates are known to any of them.
    fn scope(backend: &str, scope: &Scope) -> Self {
        Self::new(
            format!("{backend} cannot say a policy of scope `{}`", scope.word()),
            "use backend: ebpf, which the agents enforce on the nodes",
        )
    }
}

/// The name of the object of a policy. Kubernetes takes 253 bytes, of which a label may hold 63.
#[must_use]
pub fn object_name(policy: &str) -> String {
    format!("apisec-{}", policy.get(..policy.len().min(MAX_LABEL)).unwrap_or(policy))
}

/// `matchLabels` of some pods.
fn labels(pods: &Pods) -> Value {
    json!({ "matchLabels": pods.labels })
}
