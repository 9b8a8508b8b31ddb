//! What the nodes say of themselves.

use crate::doctor::{Check, Verdict};
use crate::kubernetes::access::Cluster;
use crate::kubernetes::trouble;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use std::collections::{BTreeMap, BTreeSet};

/// Nodes of one page.
const PAGE: u32 = 500;
/// Nodes that are looked at; a cluster has at most 5,000.
const MAX_NODES: usize = 10_000;
/// Nodes that a sentence names.
const NAMED: usize = 3;
/// What the hooks need.
const OLDEST: (u32, u32) = (5, 10);

/// Looks at all of them; adds what they tell of the network.
pub(super) async fn check(cluster: &Cluster, signs: &mut BTreeSet<String>) -> Vec<Check> {
    let nodes = match list(cluster).await {
        Ok(nodes) => nodes,
        Err(error) => {
            let told = trouble::of(&error, "list the nodes");
            return vec![super::check("nodes", Verdict::Failed, told.what, &told.remedy)];
        }
    };
    for node in &nodes {
        let meta = &node.metadata;
        let keys = meta.annotations.iter().chain(&meta.labels).flat_map(|map| map.keys());
        signs.extend(keys.map(|key| format!("node:{key}")));
    }
    judge(&nodes)
}

async fn list(cluster: &Cluster) -> Result<Vec<Node>, kube::Error> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    let (mut nodes, mut params) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let page = api.list(&params).await?;
        nodes.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) if nodes.len() < MAX_NODES => params.continue_token = Some(token),
            _ => return Ok(nodes),
        }
    }
}

fn judge(nodes: &[Node]) -> Vec<Check> {
    let mut kernels: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut old, mut foreign, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for node in nodes {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let Some(info) = node.status.as_ref().and_then(|status| status.node_info.as_ref()) else { continue };
        *kernels.entry(&info.kernel_version).or_default() += 1;
        if info.operating_system != "linux" {
            other.push(name);
        } else if release(&info.kernel_version).is_some_and(|release| release < OLDEST) {
            old.push(name);
        } else if info.architecture != ours() {
            foreign.push(name);
        }
    }
    let listed = kernels.iter().take(NAMED + 1).map(|(kernel, count)| format!("{count} with {kernel}"));
    let what = format!("{} nodes: {}", nodes.len(), listed.collect::<Vec<_>>().join(", "));
    let mut checks = vec![if nodes.is_empty() {
        super::check("nodes", Verdict::Failed, "there is none", "kubectl get nodes")
    } else {
        super::check("nodes", Verdict::Good, what, "")
    }];
    let mut add = |name: &str, nodes: &[&str], what: &str, remedy: &str| {
        if !nodes.is_empty() {
            let more = nodes.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let named = nodes.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
            checks.push(super::check(name, Verdict::Degraded, format!("{named}{more}: {what}"), remedy));
        }
    };
    add("old kernels", &old, "older than Linux 5.10, which agents need", "watch the other nodes: --nodes");
    add("other systems", &other, "not Linux, which agents need", "watch the other nodes: --nodes");
    let remedy = "for those, give an image that holds the program: --image IMAGE --program PATH";
    add("architectures", &foreign, "of another architecture than this program", remedy);
    checks
}

/// As Kubernetes calls the architecture of this program.
pub(crate) fn ours() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn release(kernel: &str) -> Option<(u32, u32)> {
    let mut numbers = kernel.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, kernel: &str, system: &str, architecture: &str) -> Node {
        let info = json!({"kernelVersion": kernel, "operatingSystem": system, "architecture": architecture,
            "machineID": "", "systemUUID": "", "bootID": "", "osImage": "", "containerRuntimeVersion": "",
            "kubeletVersion": "", "kubeProxyVersion": ""});
        serde_json::from_value(json!({"metadata": {"name": name}, "status": {"nodeInfo": info}})).unwrap()
    }

    #[test]
    fn nodes_that_cannot_be_watched_are_named() {
        let nodes = [
            node("a", "6.12.0-cloud", "linux", ours()),
            node("b", "5.4.0-1-generic", "linux", ours()),
            node("c", "10.0.20348", "windows", "amd64"),
            node("d", "6.1.0", "linux", "mips"),
        ];
        let checks = judge(&nodes);
        let said: Vec<(&str, &str)> = checks.iter().map(|c| (c.name.as_str(), c.what.as_str())).collect();
        assert!(said[0].1.starts_with("4 nodes: 1 with "), "{said:?}");
        let rest: Vec<&str> = said[1..].iter().map(|(_, what)| what.split(':').next().unwrap()).collect();
        assert_eq!(rest, ["b", "c", "d"]);
    }

    #[test]
    fn a_release_is_read_whatever_follows() {
        assert_eq!(release("6.12.0-1-amd64"), Some((6, 12)));
        assert_eq!(release("5.10"), Some((5, 10)));
        assert_eq!(release("linux"), None);
    }
}
