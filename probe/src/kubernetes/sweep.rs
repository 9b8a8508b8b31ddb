//! Finds what we made in a cluster, by its label, and takes it away.
//!
//! Whatever could not be looked for is said: that nothing was found there means nothing.

use super::access::Cluster;
use super::mark::{BY, NODE, OURS, RUN};
use super::trouble;
use crate::source::SourceError;
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PropagationPolicy,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long what was deleted may take to be gone.
const GONE: Duration = Duration::from_secs(60);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// Deletions at once.
const AT_ONCE: usize = 8;
/// Objects that a sentence names.
const NAMED: usize = 5;

/// A kind of object that bears our label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
}

const fn kind(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { group, version, kind, plural, namespaced: true }
}

/// In the order in which they are taken away: first what refuses something, last where the rest lives.
const KINDS: &[Kind] = &[
    kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    kind("cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies"),
    kind("security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies"),
    kind("security.kubearmor.com", "v1", "KubeArmorPolicy", "kubearmorpolicies"),
    kind("batch", "v1", "Job", "jobs"),
    kind("", "v1", "Pod", "pods"),
    Kind { namespaced: false, ..kind("", "v1", "Namespace", "namespaces") },
];

/// Something of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    kind: Kind,
    /// Its namespace; empty when it is in none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The run that made it; empty when it does not tell.
    pub run: String,
    /// Who made it.
    pub by: String,
    /// The node that it is about; empty when none.
    pub node: String,
    /// When it was made, Unix seconds; 0 when unknown.
    pub made: i64,
}

impl Leftover {
    fn of(kind: Kind, meta: ObjectMeta) -> Self {
        let read = |map: &Option<BTreeMap<String, String>>, key: &str| {
            trouble::plain(map.as_ref().and_then(|map| map.get(key)).map_or("", String::as_str))
        };
        Self {
            kind,
            run: read(&meta.labels, RUN),
            by: read(&meta.annotations, BY),
            node: read(&meta.annotations, NODE),
            made: meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
            namespace: trouble::plain(&meta.namespace.unwrap_or_default()),
            name: trouble::plain(&meta.name.unwrap_or_default()),
        }
    }

    /// It is where others live, and goes only when it is empty.
    #[must_use]
    pub fn is_home(&self) -> bool {
        self.kind.plural == "namespaces"
    }

    /// As `kubectl` takes it.
    #[must_use]
    pub fn path(&self) -> String {
        let namespace =
            if self.namespace.is_empty() { String::new() } else { format!(" -n {}", self.namespace) };
        let (plural, dot) = (self.kind.plural, if self.kind.group.is_empty() { "" } else { "." });
        format!("{plural}{dot}{}/{}{namespace}", self.kind.group, self.name)
    }
}

/// What there is, as far as one could look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What bears our label.
    pub objects: Vec<Leftover>,
    /// Kinds that could not be listed, and why.
    pub unseen: Vec<String>,
}

/// Looks for everything of ours, everywhere; where we may not, in `namespace` at least.
pub async fn find(cluster: &Cluster, namespace: &str) -> Found {
    let label = format!("{}={}", OURS.0, OURS.1);
    look(cluster, namespace, &label, KINDS).await
}

async fn look(cluster: &Cluster, namespace: &str, labels: &str, kinds: &[Kind]) -> Found {
    let mut found = Found::default();
    for kind in kinds {
        let mut listed = list(cluster, *kind, "", labels).await;
        if listed.as_ref().is_err_and(trouble::is_forbidden) && kind.namespaced {
            listed = list(cluster, *kind, namespace, labels).await;
            if listed.is_ok() {
                found.unseen.push(format!("{} outside the namespace {namespace}", kind.plural));
            }
        }
        found.add(*kind, listed);
    }
    found
}

/// As [`look`], in one namespace only.
async fn look_here(cluster: &Cluster, namespace: &str, labels: &str, kinds: &[Kind]) -> Found {
    let mut found = Found::default();
    for kind in kinds {
        found.add(*kind, list(cluster, *kind, namespace, labels).await);
    }
    found
}

impl Found {
    fn add(&mut self, kind: Kind, listed: Result<Vec<Leftover>, kube::Error>) {
        match listed {
            Ok(objects) => self.objects.extend(objects),
            // The cluster does not have this kind of thing.
            Err(error) if trouble::is_absent(&error) => {}
            Err(error) => {
                let told = trouble::of(&error, &format!("list {}", kind.plural)).what;
                self.unseen.push(format!("{} ({told})", kind.plural));
            }
        }
    }
}

/// Objects of a kind; in all namespaces when none is named.
async fn list(
    cluster: &Cluster,
    kind: Kind,
    namespace: &str,
    labels: &str,
) -> Result<Vec<Leftover>, kube::Error> {
    let params = ListParams::default().labels(labels);
    let list = api(cluster, kind, namespace).list_metadata(&params).await?;
    Ok(list.items.into_iter().map(|object| Leftover::of(kind, object.metadata)).collect())
}

/// Takes away what was found; namespaces only when nobody else lives there.
///
/// # Errors
/// What is left, and how to take it away by hand.
pub async fn clean(cluster: &Cluster, objects: &[Leftover]) -> Result<(), SourceError> {
    let lodgers: Vec<Leftover> = objects.iter().filter(|object| !object.is_home()).cloned().collect();
    remove(cluster, &lodgers).await?;
    let homes = objects.iter().filter(|object| object.is_home()).map(|home| home.name.clone()).collect();
    let homes = empty_homes(cluster, &homes).await;
    remove(cluster, &homes).await
}

/// Takes away `objects`, and waits until they are gone.
async fn remove(cluster: &Cluster, objects: &[Leftover]) -> Result<(), SourceError> {
    let mut refused: Vec<String> = Vec::new();
    for kind in KINDS {
        let of_kind = objects.iter().filter(|object| object.kind == *kind);
        let refusals: Vec<Option<String>> = futures::stream::iter(of_kind)
            .map(|object| delete(cluster, object))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        refused.extend(refusals.into_iter().flatten());
    }
    let left = until_gone(cluster, objects).await;
    if left.is_empty() {
        return Ok(());
    }
    let why = refused.first().map(|why| format!(": {why}")).unwrap_or_default();
    let named: Vec<String> = left.iter().take(NAMED).map(Leftover::path).collect();
    let more = left.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(SourceError {
        what: trouble::plain(&format!("still there: {}{more}{why}", named.join(", "))),
        remedy: format!(
            "kubectl apisec cleanup, or by hand: kubectl delete {}",
            named.first().cloned().unwrap_or_default()
        ),
    })
}

async fn delete(cluster: &Cluster, object: &Leftover) -> Option<String> {
    let params =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    match api(cluster, object.kind, &object.namespace).delete(&object.name, &params).await {
        Ok(_) => None,
        Err(error) if trouble::is_absent(&error) => None,
        // A pod goes with its job: nobody needs the right to delete pods.
        Err(_) if object.kind.kind == "Pod" => None,
        Err(error) => Some(trouble::of(&error, &format!("delete {}", object.path())).what),
    }
}

async fn until_gone(cluster: &Cluster, objects: &[Leftover]) -> Vec<Leftover> {
    let until = Instant::now() + GONE;
    let mut left: Vec<Leftover> = objects.to_vec();
    loop {
        let mut still = Vec::new();
        for object in left {
            match api(cluster, object.kind, &object.namespace).get_metadata(&object.name).await {
                Err(error) if trouble::is_absent(&error) => {}
                _ => still.push(object),
            }
        }
        if still.is_empty() || Instant::now() > until {
            return still;
        }
        left = still;
        sleep(LOOK).await;
    }
}

/// Takes away what one run made: its jobs, their pods, and the namespace if it was made for agents and is empty.
pub(super) async fn run_of(cluster: &Cluster, namespace: &str, run: &str) -> Result<(), SourceError> {
    let kinds: Vec<Kind> =
        KINDS.iter().filter(|kind| matches!(kind.plural, "jobs" | "pods")).copied().collect();
    let labels = format!("{}={},{RUN}={run}", OURS.0, OURS.1);
    let found = look_here(cluster, namespace, &labels, &kinds).await;
    remove(cluster, &found.objects).await?;
    if let Some(unseen) = found.unseen.first() {
        return Err(SourceError {
            what: format!("whether something is left is not known: {unseen}"),
            remedy: "kubectl apisec cleanup".into(),
        });
    }
    let homes = empty_homes(cluster, &[namespace.to_owned()].into()).await;
    remove(cluster, &homes).await
}

/// Namespaces that we made and in which nobody else lives.
async fn empty_homes(cluster: &Cluster, names: &BTreeSet<String>) -> Vec<Leftover> {
    let homes: Vec<Kind> = KINDS.iter().filter(|kind| kind.plural == "namespaces").copied().collect();
    let lodgers: Vec<Kind> =
        KINDS.iter().filter(|kind| matches!(kind.plural, "jobs" | "pods")).copied().collect();
    let ours = look(cluster, "", &format!("{}={}", OURS.0, OURS.1), &homes).await;
    let mut empty = Vec::new();
    for home in ours.objects.into_iter().filter(|home| names.contains(&home.name)) {
        let inside = look_here(cluster, &home.name, "", &lodgers).await;
        if inside.objects.is_empty() && inside.unseen.is_empty() {
            empty.push(home);
        }
    }
    empty
}

fn api(cluster: &Cluster, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(kind.group, kind.version, kind.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural);
    if kind.namespaced && !namespace.is_empty() {
        Api::namespaced_with(cluster.client.clone(), namespace, &resource)
    } else {
        Api::all_with(cluster.client.clone(), &resource)
    }
}

#[cfg(test)]
mod tests;
