//! What the operator wants stopped: the pure model of a policy, as it is written in YAML and kept in the journal.
//!
//! ```yaml
//! apiVersion: apisec-top/1
//! kind: Policy
//! metadata: {name: stop-enumeration}
//! spec:
//!   scope: {endpoint: {service: orders, method: GET, path: "/api/admin/{any}", from: cart}}
//!   backend: ebpf
//!   ttl: 15m
//!   reason: "finding 17"
//! ```
//!
//! A value of [`Policy`] is valid: every part checks itself when it is read. Which processes and addresses a
//! name stands for, and what can be enforced of it, is not decided here: that takes a node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod aim;
pub mod draft;
pub mod guard;
pub mod judge;
pub mod manifest;
pub mod measure;
pub mod method;
pub mod name;
pub mod order;
pub mod pattern;
pub mod preview;
pub mod rate;
pub mod replay;
pub mod respond;
pub mod standing;
pub mod target;
pub mod ttl;

pub use method::MethodRule;
pub use name::{Name, Reason, Selector};
pub use pattern::PathPattern;
pub use rate::RateLimit;
pub use ttl::Ttl;

/// The version of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first one.
    #[default]
    #[serde(rename = "apisec-top/1")]
    V1,
}

/// What a document is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A policy.
    #[default]
    Policy,
}

/// One policy: what to stop, for how long, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Version of the format.
    pub api_version: ApiVersion,
    /// What this document is.
    pub kind: Kind,
    /// Its name.
    pub metadata: Metadata,
    /// What it does.
    pub spec: Spec,
}

/// What a policy is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Unique among the active policies.
    pub name: Name,
}

/// What a policy does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// What it stops.
    pub scope: Scope,
    /// Who enforces it.
    #[serde(default)]
    pub backend: BackendName,
    /// How long it lasts.
    #[serde(default)]
    pub ttl: Ttl,
    /// Why it is there.
    #[serde(default, skip_serializing_if = "Reason::is_empty")]
    pub reason: Reason,
    /// Key of the finding that gave rise to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Reason>,
    /// A request that the matcher cannot decide is cut instead of let through.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fail_closed: bool,
    /// Paths that differ in case only are different. Without it a block covers every spelling.
    #[serde(default, skip_serializing_if = "is_false")]
    pub case_sensitive: bool,
}

/// What a policy stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything from one workload to another.
    Edge(Edge),
    /// One operation of a service, of one caller or all.
    Endpoint(Endpoint),
    /// Everything that one credential asks for.
    Identity(Identity),
    /// More than so many calls in a time.
    Rate(Rate),
    /// All connections of a workload, in and out, but for a list.
    Quarantine(Quarantine),
}

/// Everything from one workload to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Who calls.
    pub from: Selector,
    /// Who is called.
    pub to: Selector,
}

/// One operation of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Who is called.
    pub service: Selector,
    /// Which method; every method when it is left out.
    #[serde(default)]
    pub method: MethodRule,
    /// Which paths.
    pub path: PathPattern,
    /// Who calls; everybody when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Selector>,
}

/// Everything that one credential asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Its keyed hash, as calls show it: sixteen hexadecimal digits.
    pub hash: name::Hash,
    /// Only at this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Selector>,
}

/// More than so many calls in a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Who is called.
    pub service: Selector,
    /// Which method; every method when it is left out.
    #[serde(default)]
    pub method: MethodRule,
    /// Which paths; all when it is left out.
    #[serde(default)]
    pub path: PathPattern,
    /// Who calls; everybody when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Selector>,
    /// Whose calls are counted together.
    #[serde(default)]
    pub per: Per,
    /// How many are let through: `10/s`, `600/m`.
    pub limit: RateLimit,
    /// How many at once, after a rest; as many as in a second (at least one) when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<rate::Burst>,
}

/// Whose calls a rate counts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Those of one calling workload or address.
    #[default]
    Caller,
    /// Those with one credential.
    Identity,
}

/// All connections of a workload but for a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quarantine {
    /// Whose.
    pub workload: Selector,
    /// With whom it may still talk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Selector>,
    /// Cut the operator's own session as well.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut_operator: bool,
    /// Cut the resolution of names as well.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut_dns: bool,
}

/// Who enforces a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendName {
    /// The kernel of this node, or of each node with an agent.
    #[default]
    Ebpf,
    /// Kubernetes NetworkPolicy.
    Networkpolicy,
    /// CiliumNetworkPolicy.
    Cilium,
    /// Istio AuthorizationPolicy.
    Istio,
    /// KubeArmorPolicy.
    Kubearmor,
}

impl BackendName {
    /// Its word in the format.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::Networkpolicy => "networkpolicy",
            Self::Cilium => "cilium",
            Self::Istio => "istio",
            Self::Kubearmor => "kubearmor",
        }
    }
}

impl Policy {
    /// A policy with the defaults: in the kernel, for a quarter of an hour, open for what cannot be decided.
    #[must_use]
    pub fn new(name: Name, scope: Scope) -> Self {
        Self {
            api_version: ApiVersion::V1,
            kind: Kind::Policy,
            metadata: Metadata { name },
            spec: Spec {
                scope,
                backend: BackendName::default(),
                ttl: Ttl::default(),
                reason: Reason::default(),
                finding: None,
                fail_closed: false,
                case_sensitive: false,
            },
        }
    }

    /// What it stops, in one line: `GET /api/admin/{any} at orders from cart`.
    #[must_use]
    pub fn describe(&self) -> String {
        self.spec.scope.describe()
    }
}

impl Scope {
    /// Its word in the format.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Edge(_) => "edge",
            Self::Endpoint(_) => "endpoint",
            Self::Identity(_) => "identity",
            Self::Rate(_) => "rate",
            Self::Quarantine(_) => "quarantine",
        }
    }

    /// What it stops, in one line.
    #[must_use]
    pub fn describe(&self) -> String {
        let from =
            |from: &Option<Selector>| from.as_ref().map_or(String::new(), |from| format!(" from {from}"));
        match self {
            Self::Edge(Edge { from, to }) => format!("{from} → {to}"),
            Self::Endpoint(one) => {
                format!("{} {} at {}{}", one.method, one.path, one.service, from(&one.from))
            }
            Self::Identity(Identity { hash, service: None }) => format!("identity {hash}"),
            Self::Identity(Identity { hash, service: Some(service) }) => {
                format!("identity {hash} at {service}")
            }
            Self::Rate(rate) => format!(
                "{} {} at {}{} over {} per {}",
                rate.method,
                rate.path,
                rate.service,
                from(&rate.from),
                rate.limit,
                if rate.per == Per::Caller { "caller" } else { "identity" },
            ),
            Self::Quarantine(Quarantine { workload, allow, .. }) if allow.is_empty() => {
                format!("all of {workload}")
            }
            Self::Quarantine(Quarantine { workload, allow, .. }) => {
                let allowed: Vec<&str> = allow.iter().map(Selector::as_str).collect();
                format!("all of {workload} but with {}", allowed.join(", "))
            }
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests;
