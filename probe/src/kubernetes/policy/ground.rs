//! What of a cluster changes what a policy means there, and whether anybody enforces it.

use super::party::Named;
use crate::kubernetes::access::Cluster;
use crate::kubernetes::companions::{self, Enforces, Kind};
use crate::kubernetes::{doctor, mark, trouble};
use crate::source::SourceError;
use apisec_engine::policy::BackendName;
use apisec_engine::policy::manifest::{Backend, Ground};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Api, ListParams};
use std::collections::{BTreeMap, BTreeSet};

/// Objects that are looked at.
const MAX_OBJECTS: u32 = 1_000;
/// The container of a sidecar of Istio.
const PROXY: &str = "istio-proxy";
/// On pods of Istio's ambient mode.
const AMBIENT: &str = "ambient.istio.io/redirection";

/// The cluster as far as an object's meaning depends on it.
pub(super) async fn of(cluster: &Cluster, target: &Named) -> Result<Ground, SourceError> {
    let params = ListParams::default().limit(MAX_OBJECTS);
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let nodes = nodes.list(&params).await.map_err(|error| trouble::of(&error, "list the nodes"))?;
    let networks: BTreeSet<String> = nodes
        .items
        .into_iter()
        .filter_map(|node| node.spec)
        .flat_map(|spec| spec.pod_cidrs.unwrap_or_else(|| spec.pod_cidr.into_iter().collect()))
        .collect();
    let policies: Api<NetworkPolicy> = Api::namespaced(cluster.client.clone(), &target.pods.namespace);
    let policies = policies.list(&params).await;
    let policies = policies.map_err(|error| trouble::of(&error, "list the NetworkPolicies"))?;
    let selected_by = policies.items.iter().filter(|policy| !is_ours(policy) && selects(policy, target));
    let selected_by =
        selected_by.filter_map(|policy| policy.metadata.name.as_deref()).map(trouble::plain).collect();
    Ok(Ground { pod_networks: networks.into_iter().collect(), selected_by, ..Ground::default() })
}

fn is_ours(policy: &NetworkPolicy) -> bool {
    policy
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(mark::OURS.0))
        .is_some_and(|by| by == mark::OURS.1)
}

/// Whether a policy selects any pod of the target; where none is there, any pod that had its labels and no others.
fn selects(policy: &NetworkPolicy, target: &Named) -> bool {
    let Some(selector) = policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref()) else {
        return true;
    };
    let mut labels = target.live.iter().filter_map(|pod| pod.metadata.labels.as_ref()).peekable();
    if labels.peek().is_none() {
        return fits(selector, &target.pods.labels);
    }
    labels.any(|labels| fits(selector, labels))
}

fn fits(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let same = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let holds = selector.match_expressions.iter().flatten().all(|one| {
        let value = labels.get(&one.key);
        let among = || value.is_some_and(|value| one.values.iter().flatten().any(|other| other == value));
        match one.operator.as_str() {
            "In" => among(),
            "NotIn" => !among(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            // In doubt it does: then we refuse what could open something.
            _ => true,
        }
    });
    same && holds
}

/// Why an object may have no effect although the API server takes it.
pub(super) async fn doubts(cluster: &Cluster, backend: &Backend, target: &Named) -> Vec<String> {
    let mut doubts = Vec::new();
    if target.live.is_empty() {
        doubts.push("no pod is selected now".to_owned());
    }
    let on_host = |pod: &&Pod| pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
    if backend.name != BackendName::Kubearmor && target.live.iter().any(|pod| on_host(&pod)) {
        doubts.push("pods that use their node's network are not covered".into());
    }
    match backend.name {
        BackendName::Networkpolicy => doubts.extend(network(&doctor::signs(cluster).await)),
        BackendName::Cilium if !runs(cluster, "k8s-app=cilium").await => {
            doubts.push("the kind is there, and no agent of Cilium runs: nobody enforces it".into());
        }
        BackendName::Kubearmor if !runs(cluster, "kubearmor-app=kubearmor").await => {
            doubts.push("the kind is there, and KubeArmor runs nowhere: nobody enforces it".into());
        }
        BackendName::Istio => doubts.extend(proxies(&target.live)),
        _ => {}
    }
    doubts
}

fn network(signs: &BTreeSet<String>) -> Option<String> {
    let networks: Vec<_> = companions::present(Kind::Network, signs).collect();
    let names = networks.iter().map(|one| one.name).collect::<Vec<_>>().join(", ");
    let any = |wanted| networks.iter().any(|one| one.enforces == wanted);
    if any(Enforces::Yes) {
        None
    } else if networks.is_empty() {
        Some("the network of this cluster is not known: whether it enforces a NetworkPolicy is not known either".into())
    } else if any(Enforces::Perhaps) {
        Some(format!("{names} enforces NetworkPolicy only where it was set up to"))
    } else {
        Some(format!("{names} does not enforce NetworkPolicy: the API server takes it, and nothing happens"))
    }
}

async fn runs(cluster: &Cluster, labels: &str) -> bool {
    let pods: Api<Pod> = Api::all(cluster.client.clone());
    let running =
        |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    pods.list(&ListParams::default().labels(labels).limit(MAX_OBJECTS))
        .await
        .is_ok_and(|pods| pods.items.iter().any(running))
}

fn proxies(live: &[Pod]) -> Option<String> {
    let has = |pod: &&Pod| {
        let spec = pod.spec.as_ref();
        let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
        let sidecar =
            spec.into_iter().flat_map(|spec| &spec.containers).chain(init).any(|one| one.name == PROXY);
        sidecar || pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(AMBIENT))
    };
    let with = live.iter().filter(has).count();
    let ambient =
        live.iter().any(|pod| pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(AMBIENT)));
    if ambient {
        Some("these pods are in ambient mode: methods and paths are looked at only where a waypoint stands in front of them".into())
    } else if with < live.len() {
        Some(format!(
            "{} of {} pods have no proxy of Istio: nobody enforces it there",
            live.len() - with,
            live.len()
        ))
    } else {
        None
    }
}
