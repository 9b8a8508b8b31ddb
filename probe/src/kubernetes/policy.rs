//! Policies as objects of a cluster: planned by dry run, applied server-side with our field manager, taken back exactly.
//!
//! A field that somebody else manages otherwise is never taken over. What was there before is kept with the object and
//! put back. The object is owned by a job that lives as long as the policy, so that it goes without us.

mod changes;
mod edits;
mod ground;
mod party;
#[cfg(test)]
mod tests;
mod timer;

pub use edits::Edit;

use super::access::Cluster;
use super::mark::{BY, RUN};
use super::trouble;
use crate::source::SourceError;
use apisec_engine::policy::manifest::{
    BACKENDS, Backend, Job as Rendering, POLICY_LABEL, Party, object_name,
};
use apisec_engine::policy::{Policy, Scope};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    Preconditions,
};
use serde_json::{Value, json};

/// Under this name we manage fields.
pub const MANAGER: &str = "apisec-top";
/// Annotation: what was there before, as JSON.
const BEFORE: &str = "apisec-top/before";
/// Annotation: what the policy stops, in one line.
const STOPS: &str = "apisec-top/stops";
/// Bytes of what was there before: an annotation may hold 256 KiB, of all together.
const MAX_BEFORE: usize = 128 << 10;
/// Policies that are listed.
const MAX_LISTED: u32 = 500;

/// Who applies a policy, and what is needed for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hand {
    /// The namespace of names that have none.
    pub namespace: String,
    /// Tells this run from others.
    pub run: String,
    /// Who it is: `jo@laptop`.
    pub by: String,
    /// A stock image that has `sleep`, for the job that ends the policy.
    pub image: String,
}

/// What would happen.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose language it is.
    pub backend: &'static Backend,
    /// The object as it would be applied, without its owner.
    pub object: Value,
    /// What would change, a line each.
    pub changes: Vec<String>,
    /// What it means beyond the words of the policy.
    pub notes: Vec<String>,
    /// Why it may have no effect although the API server takes it.
    pub doubts: Vec<String>,
    /// The object as it is now.
    before: Option<DynamicObject>,
    namespace: String,
    name: String,
    policy: String,
    seconds: Option<u32>,
    hand: Hand,
}

/// A policy of ours that a cluster holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Kind of its object.
    pub kind: &'static str,
    /// Where it is.
    pub namespace: String,
    /// Which policy it is.
    pub policy: String,
    /// What it stops.
    pub stops: String,
    /// Who applied it.
    pub by: String,
    /// The job that ends it; empty when nothing does.
    pub timer: String,
    /// What others changed of it.
    pub edits: Vec<Edit>,
}

/// What taking back came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBack {
    /// The object, as `kubectl` takes it.
    pub path: String,
    /// What was there before is there again; otherwise nothing is.
    pub restored: bool,
    /// What others had changed, and is gone with it.
    pub edits: Vec<Edit>,
}

fn api(cluster: &Cluster, backend: &Backend, namespace: Option<&str>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(backend.group, backend.version, backend.kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, backend.plural);
    match namespace {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        None => Api::all_with(cluster.client.clone(), &resource),
    }
}

/// A field of an object; `Null` where there is none.
fn part<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.get(name).unwrap_or(&Value::Null)
}

/// Sets a field of the object at `pointer`.
fn set(object: &mut Value, pointer: &str, name: &str, value: impl Into<Value>) {
    if let Some(Value::Object(map)) = object.pointer_mut(pointer) {
        map.insert(name.to_owned(), value.into());
    }
}

fn failure(what: impl Into<String>, remedy: impl Into<String>) -> SourceError {
    SourceError { what: trouble::plain(&what.into()), remedy: remedy.into() }
}

/// Finds out what a policy would do; nothing is made.
///
/// # Errors
/// It cannot be said, names nobody, or the API server does not take it.
pub async fn plan(cluster: &Cluster, policy: &Policy, hand: &Hand) -> Result<Plan, SourceError> {
    let Some(backend) = Backend::of(policy) else {
        return Err(failure(
            "the policy is for the kernels of nodes, and is no object of the cluster",
            "on the node: apisec-top policy apply; or name a backend: networkpolicy, cilium, istio, kubearmor",
        ));
    };
    let (target, from, allow) = parties(cluster, policy, &hand.namespace).await?;
    let ground = ground::of(cluster, &target).await?;
    let job = Rendering { policy, target: &target.pods, from: from.as_ref(), allow: &allow, ground: &ground };
    let made = backend.manifest(&job).map_err(|unsayable| failure(unsayable.why, unsayable.instead))?;
    let mut object = made.object;
    set(&mut object, "/metadata/labels", RUN, hand.run.as_str());
    set(&mut object, "/metadata/annotations", BY, hand.by.as_str());
    let (name, namespace) = (object_name(policy.metadata.name.as_str()), target.pods.namespace.clone());
    let api = api(cluster, backend, Some(&namespace));
    let before = api.get_opt(&name).await.map_err(|error| absent(&error, backend, "look for the policy"))?;
    if let Some(found) = &before
        && !is_ours(found, policy.metadata.name.as_str())
    {
        return Err(failure(
            format!("{} {name} in {namespace} is not ours", backend.kind),
            "give the policy another name",
        ));
    }
    let tried = put(&api, &name, &object, true).await;
    let tried = tried.map_err(|error| refused(&error, backend, &name))?;
    let dropped = changes::missing(part(&object, "spec"), part(&tried.data, "spec"), "spec");
    if let [first, ..] = dropped.as_slice() {
        return Err(failure(
            format!(
                "the API server drops {first} of the {}: its version here does not know it, and without it the object \
                     would mean something else",
                backend.kind
            ),
            "use another backend, or a newer version of what brings this kind",
        ));
    }
    let now = before.as_ref().map(|found| part(&found.data, "spec").clone());
    Ok(Plan {
        backend,
        changes: changes::between(now.as_ref().unwrap_or(&Value::Null), part(&tried.data, "spec")),
        notes: made.notes,
        doubts: ground::doubts(cluster, backend, &target).await,
        object,
        before,
        namespace,
        name,
        policy: policy.metadata.name.as_str().to_owned(),
        seconds: policy.spec.ttl.seconds(),
        hand: hand.clone(),
    })
}

type Parties = (party::Named, Option<Party>, Vec<Party>);

/// Whom the names of a policy stand for: the pods that its object selects, who calls, who is allowed.
async fn parties(cluster: &Cluster, policy: &Policy, namespace: &str) -> Result<Parties, SourceError> {
    let (target, from, allow) = match &policy.spec.scope {
        Scope::Edge(edge) => (&edge.to, Some(&edge.from), &[][..]),
        Scope::Endpoint(one) => (&one.service, one.from.as_ref(), &[][..]),
        Scope::Quarantine(one) => (&one.workload, None, one.allow.as_slice()),
        Scope::Rate(_) | Scope::Identity(_) => {
            return Err(failure(
                format!("no object of a cluster can say a policy of scope `{}`", policy.spec.scope.word()),
                "use backend: ebpf, which the agents enforce on the nodes",
            ));
        }
    };
    let party::Found::Pods(target) = party::find(cluster, target, namespace).await? else {
        return Err(failure(
            format!("{target} is an address: objects of a cluster select pods"),
            "name a service or a controller: NAMESPACE/NAME",
        ));
    };
    let from = match from {
        Some(name) => Some(party::find(cluster, name, namespace).await?.into()),
        None => None,
    };
    let mut allowed = Vec::new();
    for name in allow {
        allowed.push(party::find(cluster, name, namespace).await?.into());
    }
    Ok((target, from, allowed))
}

fn is_ours(object: &DynamicObject, policy: &str) -> bool {
    object
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(POLICY_LABEL))
        .is_some_and(|name| name == policy)
}

async fn put(
    api: &Api<DynamicObject>,
    name: &str,
    object: &Value,
    dry_run: bool,
) -> Result<DynamicObject, kube::Error> {
    // Never forced: what others manage stays theirs.
    let params =
        PatchParams { dry_run, force: false, field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    api.patch(name, &params, &Patch::Apply(object)).await
}

fn absent(error: &kube::Error, backend: &Backend, what: &str) -> SourceError {
    if trouble::is_absent(error) {
        return failure(
            format!("this cluster has no {} ({})", backend.kind, backend.api_version()),
            "kubectl apisec doctor tells what enforces policies here; backend: ebpf needs nothing",
        );
    }
    trouble::of(error, what)
}

fn refused(error: &kube::Error, backend: &Backend, name: &str) -> SourceError {
    match error {
        kube::Error::Api(status) if status.code == 409 => failure(
            format!("somebody else manages a part of {} {name} otherwise: {}", backend.kind, status.message),
            "conflicts are never forced: settle it with them, or give the policy another name",
        ),
        _ => absent(error, backend, &format!("apply the {}", backend.kind)),
    }
}

impl Plan {
    /// Puts it into force: first what ends it, then the object.
    ///
    /// # Errors
    /// The API server refuses; nothing is left then.
    pub async fn apply(self, cluster: &Cluster) -> Result<Standing, SourceError> {
        let api = api(cluster, self.backend, Some(&self.namespace));
        let mut object = self.object;
        if let Some(before) = &self.before {
            set(&mut object, "/metadata/annotations", BEFORE, kept(before)?);
            // What has changed since the plan is not what was shown.
            set(&mut object, "/metadata", "resourceVersion", before.metadata.resource_version.as_deref());
        }
        let timer = match self.seconds {
            Some(seconds) => {
                let job = timer::job(&self.policy, &self.namespace, seconds, &self.hand);
                Some(timer::start(cluster, &self.namespace, &job).await?)
            }
            None => None,
        };
        if let Some(timer) = &timer {
            set(&mut object, "/metadata", "ownerReferences", json!([timer.owner()]));
        }
        let put = put(&api, &self.name, &object, false).await;
        match put {
            Ok(found) => Ok(standing(self.backend, &found)),
            Err(error) => {
                if let Some(timer) = &timer {
                    timer.stop(cluster, &self.namespace).await;
                }
                Err(refused(&error, self.backend, &self.name))
            }
        }
    }
}

/// What is put back of an object: what we say of it, and what ends it.
fn kept(before: &DynamicObject) -> Result<String, SourceError> {
    let annotations = before.metadata.annotations.iter().flatten();
    let annotations: serde_json::Map<String, Value> = annotations
        .filter(|(key, _)| key.starts_with("apisec-top/") && key.as_str() != BEFORE)
        .map(|(key, value)| (key.clone(), value.as_str().into()))
        .collect();
    let text = json!({
        "labels": before.metadata.labels,
        "annotations": annotations,
        "ownerReferences": before.metadata.owner_references,
        "spec": part(&before.data, "spec"),
    })
    .to_string();
    if text.len() > MAX_BEFORE {
        return Err(failure("what is there now is too large to be kept and put back", "take it back first"));
    }
    Ok(text)
}

fn standing(backend: &'static Backend, object: &DynamicObject) -> Standing {
    let meta = &object.metadata;
    let label = |key: &str| meta.labels.as_ref().and_then(|all| all.get(key)).map_or("", String::as_str);
    let note = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key)).map_or("", String::as_str);
    let timer = meta.owner_references.iter().flatten().find(|owner| owner.kind == "Job");
    Standing {
        kind: backend.kind,
        namespace: trouble::plain(meta.namespace.as_deref().unwrap_or_default()),
        policy: trouble::plain(label(POLICY_LABEL)),
        stops: trouble::plain(note(STOPS)),
        by: trouble::plain(note(BY)),
        timer: trouble::plain(timer.map_or("", |owner| owner.name.as_str())),
        edits: edits::of(object),
    }
}

/// What we have of a policy, or of all, and kinds that could not be listed.
pub async fn list(cluster: &Cluster, namespace: Option<&str>) -> (Vec<Standing>, Vec<String>) {
    let (mut found, mut unseen) = (Vec::new(), Vec::new());
    for backend in BACKENDS {
        let params = ListParams::default().labels(POLICY_LABEL).limit(MAX_LISTED);
        match api(cluster, backend, namespace).list(&params).await {
            Ok(objects) => found.extend(objects.items.iter().map(|object| standing(backend, object))),
            Err(error) if trouble::is_absent(&error) => {}
            Err(error) => unseen.push(trouble::of(&error, &format!("list {}", backend.plural)).what),
        }
    }
    (found, unseen)
}

/// Takes a policy back: what was there before is there again. What others changed is reported, and taken away only
/// with `forced`.
///
/// # Errors
/// There is none, others changed it, or the API server refuses.
pub async fn take_back(
    cluster: &Cluster,
    policy: &str,
    namespace: &str,
    forced: bool,
) -> Result<Vec<TakenBack>, SourceError> {
    let (mut done, mut unseen) = (Vec::new(), Vec::new());
    for backend in BACKENDS {
        let api = api(cluster, backend, Some(namespace));
        match api.get_opt(&object_name(policy)).await {
            Ok(Some(found)) if is_ours(&found, policy) => {
                done.push(one_back(cluster, backend, &api, &found, namespace, forced).await?);
            }
            Ok(_) => {}
            Err(error) if trouble::is_absent(&error) => {}
            Err(error) => unseen.push(trouble::of(&error, &format!("look at {}", backend.plural))),
        }
    }
    match (done.is_empty(), unseen.pop()) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(failure(
            format!("there is no policy {policy} in {namespace}"),
            "kubectl apisec policy list; another namespace with -n",
        )),
        (false, _) => Ok(done),
    }
}

async fn one_back(
    cluster: &Cluster,
    backend: &'static Backend,
    api: &Api<DynamicObject>,
    found: &DynamicObject,
    namespace: &str,
    forced: bool,
) -> Result<TakenBack, SourceError> {
    let name = found.metadata.name.as_deref().unwrap_or_default();
    let edits = edits::of(found);
    if let ([first, ..], false) = (edits.as_slice(), forced) {
        return Err(failure(
            format!("{} {name} was changed by {}: {}", backend.kind, first.manager, first.fields.join(", ")),
            "look at it (kubectl get -o yaml --show-managed-fields), then --force, which takes that away as well",
        ));
    }
    let path = format!("{}.{}/{name} -n {namespace}", backend.plural, backend.group);
    let before = found.metadata.annotations.as_ref().and_then(|all| all.get(BEFORE));
    let before: Option<Value> = before.and_then(|text| serde_json::from_str(text).ok());
    let restored = match before {
        Some(before) if timer::lives(cluster, namespace, part(&before, "ownerReferences")).await => {
            let object = json!({
                "apiVersion": backend.api_version(), "kind": backend.kind,
                "metadata": {"name": name, "namespace": namespace, "labels": part(&before, "labels"), "annotations": part(&before, "annotations"),
                    "ownerReferences": part(&before, "ownerReferences"), "resourceVersion": found.metadata.resource_version},
                "spec": part(&before, "spec"),
            });
            put(api, name, &object, false).await.map_err(|error| refused(&error, backend, name))?;
            true
        }
        // What was there before would have ended meanwhile.
        _ => {
            let (uid, version) = (found.metadata.uid.clone(), found.metadata.resource_version.clone());
            let exactly = Preconditions { uid, resource_version: version };
            let params = DeleteParams { preconditions: Some(exactly), ..DeleteParams::default() };
            match api.delete(name, &params).await {
                Ok(_) => {}
                Err(error) if trouble::is_absent(&error) => {}
                Err(error) => return Err(trouble::of(&error, &format!("delete {path}"))),
            }
            false
        }
    };
    timer::stop_of(cluster, namespace, found).await;
    Ok(TakenBack { path, restored, edits })
}
