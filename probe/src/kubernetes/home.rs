//! The namespace that agents live in: asked whether it lets them in, made when it is not there.

use super::access::Cluster;
use super::doctor::admission::{self, Admission};
use super::mark::OURS;
use super::trouble;
use crate::source::SourceError;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Error;
use kube::api::{Api, PostParams};

/// Makes sure that agents will be let in; true when the namespace was made for that.
pub(super) async fn prepare(cluster: &Cluster, namespace: &str) -> Result<bool, SourceError> {
    match admission::ask(cluster, namespace).await {
        // Whoever may not try may be allowed all the same: then the job tells.
        Admission::Open | Admission::Untold => Ok(false),
        Admission::Refused(why) => Err(SourceError {
            what: format!("the cluster does not let agents into the namespace {namespace}: {why}"),
            remedy: format!(
                "kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=privileged\n\
                 or another one: --agent-namespace NAME"
            ),
        }),
        Admission::Nowhere => make(cluster, namespace).await,
    }
}

async fn make(cluster: &Cluster, namespace: &str) -> Result<bool, SourceError> {
    let labels = [OURS, ("pod-security.kubernetes.io/enforce", "privileged")];
    let wanted = Namespace {
        metadata: ObjectMeta {
            name: Some(namespace.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    match api.create(&PostParams::default(), &wanted).await {
        Ok(_) => Ok(true),
        Err(Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => {
            let told = trouble::of(&error, &format!("make the namespace {namespace}"));
            let remedy = "as an administrator: kubectl apisec print rbac | kubectl apply -f -\n\
                          or one that is there: --agent-namespace NAME";
            Err(SourceError { what: told.what, remedy: remedy.into() })
        }
    }
}
