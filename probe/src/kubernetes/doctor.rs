//! Examines a cluster: whether we are allowed to do what we need, and what stands in the way.
//!
//! Asks and tries by dry run; nothing is made. What is found out about a single node's kernel by trying belongs to the
//! doctor of that node ([`crate::doctor`]).

pub(super) mod admission;
mod nodes;
mod permits;

#[cfg(test)]
pub(super) use nodes::ours as architecture;

use super::access::Cluster;
use super::companions::{self, Enforces, Kind};
use super::rbac::{self, Wanted};
use super::rights::Role;
use super::trouble;
use crate::doctor::{Check, Verdict};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, PostParams};
use std::collections::BTreeSet;

/// Pods of `kube-system` that are looked at for what else works here.
const MAX_PODS: u32 = 500;
/// Labels that name what a pod belongs to.
const NAMING: [&str; 3] = ["k8s-app", "app", "app.kubernetes.io/name"];

/// What was found.
#[derive(Clone, Debug)]
pub struct Examined {
    /// One by one.
    pub checks: Vec<Check>,
    /// YAML of exactly the rights that are missing for looking; empty when none is.
    pub missing: String,
    /// The same for specifications in ConfigMaps and for policies.
    pub missing_beside: String,
}

/// Runs every check. `namespace` is where agents would be put.
pub async fn examine(cluster: &Cluster, namespace: &str) -> Examined {
    let mut examined = Examined { checks: Vec::new(), missing: String::new(), missing_beside: String::new() };
    let (first, reached) = version(cluster).await;
    examined.checks.push(first);
    if !reached {
        return examined;
    }
    examined.checks.push(who(cluster).await);
    let watch = permits::lacking(cluster, Role::Watch, namespace).await;
    examined.checks.push(permits::check("rights to watch", &watch));
    let read = permits::lacking(cluster, Role::Specifications, namespace).await;
    examined.checks.push(permits::check("rights to specs", &read));
    let enforce = permits::lacking(cluster, Role::Enforce, namespace).await;
    examined.checks.push(permits::check("rights to enforce", &enforce));
    let yaml = |lacking: Result<Vec<Wanted>, _>| {
        lacking.map_or_else(|_| String::new(), |lacking| rbac::missing(&lacking, namespace))
    };
    (examined.missing, examined.missing_beside) = (yaml(watch), yaml(read) + &yaml(enforce));
    examined.checks.push(admission::check(cluster, namespace).await);
    let mut signs = BTreeSet::new();
    examined.checks.extend(nodes::check(cluster, &mut signs).await);
    examined.checks.extend(surroundings(cluster, signs).await);
    examined
}

pub(super) fn check(name: &str, verdict: Verdict, what: impl AsRef<str>, remedy: &str) -> Check {
    Check { name: name.into(), verdict, what: trouble::plain(what.as_ref()), remedy: remedy.into() }
}

async fn version(cluster: &Cluster) -> (Check, bool) {
    match cluster.client.apiserver_version().await {
        Ok(version) => {
            let what = format!("Kubernetes {} at {}", version.git_version, cluster.server);
            (check("cluster", Verdict::Good, what, ""), true)
        }
        Err(error) => {
            let told = trouble::of(&error, &format!("in at {}", cluster.server));
            (check("cluster", Verdict::Failed, told.what, &told.remedy), false)
        }
    }
}

async fn who(cluster: &Cluster) -> Check {
    let asked: Api<SelfSubjectReview> = Api::all(cluster.client.clone());
    let answer = asked.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let user = answer.ok().and_then(|review| review.status?.user_info?.username);
    match user {
        Some(user) => check("user", Verdict::Good, user, ""),
        None => check("user", Verdict::Good, "the cluster does not tell who we are", ""),
    }
}

/// What tells who else works here.
pub(super) async fn signs(cluster: &Cluster) -> BTreeSet<String> {
    let mut signs = BTreeSet::new();
    let _told_elsewhere = nodes::check(cluster, &mut signs).await;
    gather(cluster, &mut signs).await;
    signs
}

/// Networks, meshes and policy engines.
async fn surroundings(cluster: &Cluster, mut signs: BTreeSet<String>) -> Vec<Check> {
    gather(cluster, &mut signs).await;
    let list = |kind| companions::present(kind, &signs).map(|one| one.name).collect::<Vec<_>>().join(", ");
    let networks: Vec<_> = companions::present(Kind::Network, &signs).collect();
    let mut checks = vec![network(&networks)];
    let mesh = list(Kind::Mesh);
    checks.push(if mesh.is_empty() {
        check("mesh", Verdict::Good, "none that is known", "")
    } else {
        let what = format!(
            "{mesh}; calls are seen before and behind its proxies, as hops of one way where that can be told"
        );
        check("mesh", Verdict::Good, what, "")
    });
    let engines = list(Kind::Policy);
    let engines = if engines.is_empty() { "none that is known".to_owned() } else { engines };
    checks.push(check("policy engines", Verdict::Good, engines, ""));
    checks
}

/// API groups, and pods of `kube-system`.
async fn gather(cluster: &Cluster, signs: &mut BTreeSet<String>) {
    if let Ok(groups) = cluster.client.list_api_groups().await {
        signs.extend(groups.groups.into_iter().map(|group| format!("group:{}", group.name)));
    }
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "kube-system");
    if let Ok(pods) = pods.list_metadata(&ListParams::default().limit(MAX_PODS)).await {
        for labels in pods.items.into_iter().filter_map(|pod| pod.metadata.labels) {
            signs.extend(
                NAMING.iter().filter_map(|name| labels.get(*name)).map(|value| format!("pod:{value}")),
            );
        }
    }
}

fn network(networks: &[&companions::Companion]) -> Check {
    let names = networks.iter().map(|one| one.name).collect::<Vec<_>>().join(", ");
    let enforced = |wanted| networks.iter().any(|one| one.enforces == wanted);
    if networks.is_empty() {
        let what = "none that is known: whether NetworkPolicy is enforced is not known either";
        check("network", Verdict::Degraded, what, "look at the effect of a policy before you rely on it")
    } else if enforced(Enforces::Yes) {
        check("network", Verdict::Good, format!("{names}, which enforces NetworkPolicy"), "")
    } else if enforced(Enforces::Perhaps) {
        let what = format!("{names}, which enforces NetworkPolicy only where it was set up to");
        check("network", Verdict::Good, what, "")
    } else {
        let what =
            format!("{names}, which does not enforce NetworkPolicy: the API takes them, and nothing happens");
        check("network", Verdict::Degraded, what, "policies work through agents on nodes all the same")
    }
}

#[cfg(test)]
mod tests;
