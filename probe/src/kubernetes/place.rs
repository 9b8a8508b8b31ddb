//! Which nodes get an agent: those that were named, all, or those on which the pods are that one wants to look at.

use super::access::Cluster;
use super::trouble;
use crate::source::SourceError;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams};
use std::collections::BTreeSet;

/// Objects of one page.
const PAGE: u32 = 500;
/// Objects that are looked at in all.
const MAX_OBJECTS: usize = 200_000;
/// Names that a sentence gives.
const NAMED: usize = 5;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nodes by name.
    Nodes(Vec<String>),
    /// All nodes.
    All,
    /// The nodes of pods.
    Pods {
        /// The namespace; all of them when absent.
        namespace: Option<String>,
        /// Names; all pods when empty.
        names: Vec<String>,
        /// Labels, as `kubectl -l` takes them.
        selector: Option<String>,
    },
}

/// Nodes that get an agent, and why others do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Names, in order.
    pub nodes: Vec<String>,
    /// Nodes that were asked for and cannot have one, with the reason.
    pub left_out: Vec<(String, String)>,
}

/// Looks for them. `architecture` is that of the program that is brought; empty when the image holds it.
///
/// # Errors
/// The API server does not tell, or there are none.
pub async fn choose(cluster: &Cluster, choice: &Choice, architecture: &str) -> Result<Chosen, SourceError> {
    let nodes: Vec<Node> = all(Api::all(cluster.client.clone()), None, "list the nodes").await?;
    let wanted: Option<BTreeSet<String>> = match choice {
        Choice::All => None,
        Choice::Nodes(names) => Some(named(names, &nodes)?),
        Choice::Pods { namespace, names, selector } => {
            let api = match namespace {
                Some(namespace) => Api::namespaced(cluster.client.clone(), namespace),
                None => Api::all(cluster.client.clone()),
            };
            let pods: Vec<Pod> = all(api, selector.as_deref(), "list the pods").await?;
            Some(nodes_of(&pods, names, namespace.as_deref())?)
        }
    };
    let wanted = |node: &&Node| {
        wanted
            .as_ref()
            .is_none_or(|wanted| node.metadata.name.as_ref().is_some_and(|name| wanted.contains(name)))
    };
    let mut chosen = Chosen::default();
    for node in nodes.iter().filter(wanted) {
        let name = node.metadata.name.clone().unwrap_or_default();
        match objection(node, architecture) {
            None => chosen.nodes.push(name),
            Some(why) => chosen.left_out.push((name, why)),
        }
    }
    if chosen.nodes.is_empty() {
        let whys: Vec<String> =
            chosen.left_out.iter().take(NAMED).map(|(name, why)| format!("{name}: {why}")).collect();
        return Err(SourceError {
            what: trouble::plain(&format!("no node can have an agent; {}", whys.join("; "))),
            remedy: "kubectl apisec doctor".into(),
        });
    }
    chosen.nodes.sort();
    Ok(chosen)
}

async fn all<K>(api: Api<K>, selector: Option<&str>, what: &str) -> Result<Vec<K>, SourceError>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let (mut found, mut params) = (Vec::new(), ListParams::default().limit(PAGE));
    params.label_selector = selector.map(ToOwned::to_owned);
    loop {
        let page = api.list(&params).await.map_err(|error| trouble::of(&error, what))?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) if found.len() < MAX_OBJECTS => params.continue_token = Some(token),
            _ => return Ok(found),
        }
    }
}

fn named(names: &[String], nodes: &[Node]) -> Result<BTreeSet<String>, SourceError> {
    let known: BTreeSet<&str> = nodes.iter().filter_map(|node| node.metadata.name.as_deref()).collect();
    let wanted: BTreeSet<String> = names.iter().cloned().collect();
    let strange: Vec<&str> = wanted.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
    if strange.is_empty() {
        return Ok(wanted);
    }
    let listed = known.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    Err(SourceError {
        what: trouble::plain(&format!("there is no node {}; there are {listed}", strange.join(", "))),
        remedy: "kubectl get nodes".into(),
    })
}

fn nodes_of(
    pods: &[Pod],
    names: &[String],
    namespace: Option<&str>,
) -> Result<BTreeSet<String>, SourceError> {
    let place = namespace
        .map_or_else(|| "any namespace".to_owned(), |namespace| format!("the namespace {namespace}"));
    let runs = |pod: &&Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        !matches!(phase, Some("Succeeded" | "Failed"))
    };
    let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
    let strange: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|wanted| !pods.iter().any(|pod| name(pod) == *wanted))
        .collect();
    if !strange.is_empty() {
        return Err(SourceError {
            what: trouble::plain(&format!("there is no pod {} in {place}", strange.join(", "))),
            remedy: "kubectl get pods -A; another namespace: -n NAME".into(),
        });
    }
    let nodes: BTreeSet<String> = pods
        .iter()
        .filter(runs)
        .filter(|pod| names.is_empty() || names.contains(&name(pod)))
        .filter_map(|pod| pod.spec.as_ref()?.node_name.clone())
        .collect();
    if nodes.is_empty() {
        return Err(SourceError {
            what: format!("no such pod runs in {place}"),
            remedy: "another namespace: -n NAME; all: -A; nodes instead: --nodes or --all-nodes".into(),
        });
    }
    Ok(nodes)
}

/// Why a node cannot have an agent.
fn objection(node: &Node, architecture: &str) -> Option<String> {
    let labels = node.metadata.labels.as_ref();
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    if label("type") == Some("virtual-kubelet") || label("eks.amazonaws.com/compute-type") == Some("fargate")
    {
        return Some("it is no machine of its own".into());
    }
    let info = node.status.as_ref().and_then(|status| status.node_info.as_ref())?;
    if info.operating_system != "linux" {
        return Some(format!("it runs {}", info.operating_system));
    }
    let foreign = !architecture.is_empty() && info.architecture != architecture;
    foreign
        .then(|| format!("it is {}, and the program {architecture} (--agent-binary FILE)", info.architecture))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, node: Option<&str>, phase: &str) -> Pod {
        serde_json::from_value(
            json!({"metadata": {"name": name}, "spec": {"nodeName": node, "containers": []},
            "status": {"phase": phase}}),
        )
        .unwrap()
    }

    #[test]
    fn the_nodes_of_pods_that_run() {
        let pods =
            [pod("a", Some("n1"), "Running"), pod("b", Some("n2"), "Succeeded"), pod("c", None, "Pending")];
        let nodes = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            nodes_of(&pods, &names, Some("shop")).map(|nodes| nodes.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(nodes(&[]).unwrap(), ["n1"]);
        assert_eq!(nodes(&["a"]).unwrap(), ["n1"]);
        assert!(nodes(&["b"]).unwrap_err().what.contains("shop"));
        assert!(nodes(&["x"]).unwrap_err().what.contains("no pod x"));
    }

    #[test]
    fn a_node_that_is_no_machine_or_of_another_kind_is_left_out() {
        let node = |labels: serde_json::Value, system: &str| -> Node {
            let info = json!({"operatingSystem": system, "architecture": "arm64", "machineID": "", "systemUUID": "",
                "bootID": "", "osImage": "", "containerRuntimeVersion": "", "kubeletVersion": "", "kubeProxyVersion": "",
                "kernelVersion": ""});
            serde_json::from_value(json!({"metadata": {"labels": labels}, "status": {"nodeInfo": info}}))
                .unwrap()
        };
        assert!(objection(&node(json!({"type": "virtual-kubelet"}), "linux"), "").is_some());
        assert!(objection(&node(json!({}), "windows"), "").is_some());
        assert!(objection(&node(json!({}), "linux"), "amd64").is_some());
        assert_eq!(objection(&node(json!({}), "linux"), "arm64"), None);
        assert_eq!(objection(&node(json!({}), "linux"), ""), None);
    }
}
