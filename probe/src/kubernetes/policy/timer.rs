//! What ends a policy without us: a job that owns its object, with a deadline. When the job is over it is taken away at
//! once, and the object with it, by the cluster's own garbage collection.
//!
//! The deadline counts from when the job began, whether or not its pod could be started.

use super::Hand;
use crate::kubernetes::access::Cluster;
use crate::kubernetes::mark::{BY, OURS, RUN};
use crate::kubernetes::trouble;
use crate::source::SourceError;
use apisec_engine::policy::manifest::POLICY_LABEL;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};

/// The job that runs out.
pub(super) struct Timer {
    name: String,
    uid: String,
}

impl Timer {
    /// As the object's owner.
    pub(super) fn owner(&self) -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "name": self.name, "uid": self.uid})
    }

    /// Takes it away; it would end by itself.
    pub(super) async fn stop(&self, cluster: &Cluster, namespace: &str) {
        stop(cluster, namespace, &self.name).await;
    }
}

/// The job of a policy: it sleeps, and may do nothing else, in any namespace that admits anything.
pub(super) fn job(policy: &str, namespace: &str, seconds: u32, hand: &Hand) -> Value {
    let labels =
        json!({OURS.0: OURS.1, RUN: hand.run, POLICY_LABEL: policy, "sidecar.istio.io/inject": "false"});
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": "apisec-timer-", "namespace": namespace, "labels": labels, "annotations": {BY: hand.by}},
        "spec": {
            "activeDeadlineSeconds": seconds,
            "ttlSecondsAfterFinished": 0,
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": labels, "annotations": {"linkerd.io/inject": "disabled"}},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 0,
                    "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534,
                        "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [{
                        "name": "timer",
                        "image": hand.image,
                        // Longer than the deadline: it must not end first.
                        "command": ["sleep", (u64::from(seconds) + 3600).to_string()],
                        "resources": {"requests": {"cpu": "1m", "memory": "4Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}},
                        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]}},
                    }],
                },
            },
        },
    })
}

/// Makes it.
pub(super) async fn start(cluster: &Cluster, namespace: &str, job: &Value) -> Result<Timer, SourceError> {
    let job: Job = serde_json::from_value(job.clone()).map_err(|error| {
        super::failure(format!("the job that ends the policy: {error}"), "please report it")
    })?;
    let api: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
    let made = api.create(&PostParams::default(), &job).await;
    let made =
        made.map_err(|error| trouble::of(&error, "make the job that ends the policy, so it is not applied"))?;
    match (made.metadata.name, made.metadata.uid) {
        (Some(name), Some(uid)) => Ok(Timer { name, uid }),
        _ => Err(super::failure("the API server made a job without a name", "")),
    }
}

/// Whether what owned an object before still runs; an object without an owner had no end.
pub(super) async fn lives(cluster: &Cluster, namespace: &str, owners: &Value) -> bool {
    let Some(owners) = owners.as_array() else { return true };
    let api: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
    for owner in owners {
        let Some(name) = owner.get("name").and_then(Value::as_str) else { continue };
        let found = api.get_opt(name).await.ok().flatten();
        if found.is_none_or(|job| job.metadata.uid.as_deref() != owner.get("uid").and_then(Value::as_str)) {
            return false;
        }
    }
    true
}

/// Takes away the job that owns an object.
pub(super) async fn stop_of(cluster: &Cluster, namespace: &str, object: &DynamicObject) {
    for owner in object.metadata.owner_references.iter().flatten().filter(|owner| owner.kind == "Job") {
        stop(cluster, namespace, &owner.name).await;
    }
}

async fn stop(cluster: &Cluster, namespace: &str, name: &str) {
    let api: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
    // Without being told so the API server would leave the pod.
    let _it_ends_by_itself = api.delete(name, &DeleteParams::background()).await;
}
