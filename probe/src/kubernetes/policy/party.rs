//! Whom a name in a policy stands for: a service, a controller, or an address.

use super::failure;
use crate::kubernetes::access::Cluster;
use crate::kubernetes::trouble;
use crate::source::SourceError;
use apisec_engine::policy::Selector;
use apisec_engine::policy::manifest::{Party, Pods};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, ListParams};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Pods that are looked at.
const MAX_PODS: u32 = 500;
/// Words in front of a name.
const KINDS: [&str; 4] = ["service", "deployment", "statefulset", "daemonset"];

/// Somebody who was found.
pub(super) enum Found {
    Pods(Named),
    Address(IpAddr),
}

impl From<Found> for Party {
    fn from(found: Found) -> Self {
        match found {
            Found::Pods(named) => Self::Pods(named.pods),
            Found::Address(address) => Self::Address(address),
        }
    }
}

/// Pods with a name, and those that there are now.
pub(super) struct Named {
    pub(super) pods: Pods,
    pub(super) live: Vec<Pod>,
}

/// Finds them. `namespace` is meant where none is named.
pub(super) async fn find(
    cluster: &Cluster,
    selector: &Selector,
    namespace: &str,
) -> Result<Found, SourceError> {
    let text = selector.as_str();
    if let Ok(address) = text.parse() {
        return Ok(Found::Address(address));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Found::Address(address.ip()));
    }
    let (kind, rest) = text.split_once(':').filter(|(kind, _)| KINDS.contains(kind)).unwrap_or(("", text));
    let (namespace, name) = rest.split_once('/').unwrap_or((namespace, rest));
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    let mut found = None;
    for one in KINDS.iter().filter(|one| kind.is_empty() || kind == **one) {
        found = labels(cluster, one, namespace, name).await?;
        if found.is_some() {
            break;
        }
    }
    let (labels, ports) = found.ok_or_else(|| {
        failure(
            format!(
                "there is no {} {name} in {namespace}",
                if kind.is_empty() { "service or controller" } else { kind }
            ),
            "name it as NAMESPACE/NAME, service:NAMESPACE/NAME or deployment:NAMESPACE/NAME",
        )
    })?;
    pods(cluster, namespace, labels, &ports).await.map(Found::Pods)
}

type Labels = BTreeMap<String, String>;

/// What something selects, and the ports that it leads to.
async fn labels(
    cluster: &Cluster,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Result<Option<(Labels, Vec<IntOrString>)>, SourceError> {
    let client = || cluster.client.clone();
    let failed = |error: kube::Error| trouble::of(&error, &format!("look at {kind} {name}"));
    let selector = match kind {
        "service" => {
            let found =
                Api::<Service>::namespaced(client(), namespace).get_opt(name).await.map_err(failed)?;
            let Some(spec) = found.and_then(|service| service.spec) else { return Ok(None) };
            let ports = spec.ports.unwrap_or_default().into_iter();
            let ports = ports.map(|port| port.target_port.unwrap_or(IntOrString::Int(port.port))).collect();
            return Ok(spec
                .selector
                .filter(|selector| !selector.is_empty())
                .map(|selector| (selector, ports)));
        }
        "deployment" => Api::<Deployment>::namespaced(client(), namespace)
            .get_opt(name)
            .await
            .map_err(failed)?
            .map(|found| found.spec.selector),
        "statefulset" => Api::<StatefulSet>::namespaced(client(), namespace)
            .get_opt(name)
            .await
            .map_err(failed)?
            .map(|found| found.spec.selector),
        _ => Api::<DaemonSet>::namespaced(client(), namespace)
            .get_opt(name)
            .await
            .map_err(failed)?
            .map(|found| found.spec.selector),
    };
    selector.map(|selector| Ok((plain(selector, kind, name)?, Vec::new()))).transpose()
}

fn plain(selector: LabelSelector, kind: &str, name: &str) -> Result<Labels, SourceError> {
    if selector.match_expressions.is_some_and(|all| !all.is_empty()) {
        return Err(failure(
            format!("the {kind} {name} selects its pods by expressions, which not every backend can say"),
            "name the service in front of it",
        ));
    }
    Ok(selector.match_labels.unwrap_or_default())
}

async fn pods(
    cluster: &Cluster,
    namespace: &str,
    labels: Labels,
    ports: &[IntOrString],
) -> Result<Named, SourceError> {
    let text: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let params = ListParams::default().labels(&text.join(",")).limit(MAX_PODS);
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let live = api.list(&params).await.map_err(|error| trouble::of(&error, "list the pods"))?.items;
    let accounts: BTreeSet<&str> = live
        .iter()
        .filter_map(|pod| pod.spec.as_ref())
        .map(|spec| spec.service_account_name.as_deref().unwrap_or("default"))
        .collect();
    let account = if accounts.len() == 1 { accounts.into_iter().next().unwrap_or_default() } else { "" };
    let pods =
        Pods { namespace: namespace.into(), account: account.into(), ports: numbers(ports, &live), labels };
    Ok(Named { pods, live })
}

/// Numbers of ports; names of ports are those of the containers. Without any: all that the containers name.
fn numbers(wanted: &[IntOrString], live: &[Pod]) -> Vec<u16> {
    let containers = || live.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| &spec.containers);
    let ports = || containers().flat_map(|container| container.ports.iter().flatten());
    let mut found: BTreeSet<i32> = BTreeSet::new();
    for port in wanted {
        match port {
            IntOrString::Int(number) => drop(found.insert(*number)),
            IntOrString::String(name) => {
                let named = ports().filter(|port| port.name.as_deref() == Some(name));
                found.extend(named.map(|port| port.container_port));
            }
        }
    }
    if wanted.is_empty() {
        found.extend(ports().map(|port| port.container_port));
    }
    found.into_iter().filter_map(|port| u16::try_from(port).ok()).collect()
}
