//! Whether the cluster would let an agent's pod in, by asking it to, without making one.

use crate::doctor::{Check, Verdict};
use crate::kubernetes::access::Cluster;
use crate::kubernetes::job;
use crate::kubernetes::trouble;
use k8s_openapi::api::core::v1::Pod;
use kube::Error;
use kube::api::{Api, PostParams};

/// How the cluster feels about an agent's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It would be let in.
    Open,
    /// The namespace does not exist.
    Nowhere,
    /// We may not try.
    Untold,
    /// It would not, with the words of who decided.
    Refused(String),
}

/// Asks.
pub(crate) async fn ask(cluster: &Cluster, namespace: &str) -> Admission {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    match pods.create(&params, &job::sample(namespace)).await {
        Ok(_) => Admission::Open,
        Err(error) => judge(&error),
    }
}

fn judge(error: &Error) -> Admission {
    match error {
        Error::Api(status) if status.code == 404 => Admission::Nowhere,
        // What authorization refuses and what admission refuses have the same code.
        Error::Api(status) if status.code == 403 && status.message.contains(" cannot create resource ") => {
            Admission::Untold
        }
        Error::Api(status) => Admission::Refused(trouble::plain(&status.message)),
        error => Admission::Refused(trouble::of(error, "try a pod").what),
    }
}

pub(super) async fn check(cluster: &Cluster, namespace: &str) -> Check {
    let name = "pod security";
    match ask(cluster, namespace).await {
        Admission::Open => {
            super::check(name, Verdict::Good, format!("agents are let into the namespace {namespace}"), "")
        }
        Admission::Nowhere => {
            let what = format!(
                "the namespace {namespace} does not exist; it is made for agents, and taken away after them, by whoever may"
            );
            let remedy =
                "kubectl apisec print rbac | kubectl apply -f -\nor another one: --agent-namespace NAME";
            super::check(name, Verdict::Degraded, what, remedy)
        }
        Admission::Untold => {
            let what = "whether agents are let in is not known: we may not try a pod";
            super::check(name, Verdict::Degraded, what, "see the rights that are missing")
        }
        Admission::Refused(why) => {
            let remedy = format!(
                "kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=privileged\n\
                 or another one: --agent-namespace NAME"
            );
            super::check(
                name,
                Verdict::Failed,
                format!("agents are not let into {namespace}: {why}"),
                &remedy,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn answer(code: u16, message: &str) -> Admission {
        judge(&Error::Api(Box::new(Status { code, message: message.into(), ..Status::default() })))
    }

    #[test]
    fn pod_security_is_told_from_missing_rights() {
        let refused =
            "pods \"apisec-try\" is forbidden: violates PodSecurity \"restricted:latest\": host namespaces";
        assert_eq!(answer(403, refused), Admission::Refused(refused.into()));
        let rights = "pods is forbidden: User \"jo\" cannot create resource \"pods\" in API group \"\" in the namespace \"x\"";
        assert_eq!(answer(403, rights), Admission::Untold);
        assert_eq!(answer(404, "namespaces \"x\" not found"), Admission::Nowhere);
    }
}
