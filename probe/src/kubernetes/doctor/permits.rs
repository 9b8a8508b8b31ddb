//! Which of the rights we have, by asking for each.

use crate::doctor::{Check, Verdict};
use crate::kubernetes::access::Cluster;
use crate::kubernetes::rbac::Wanted;
use crate::kubernetes::rights::{RIGHTS, Right, Role, Scope};
use crate::kubernetes::trouble;
use crate::source::SourceError;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

/// Questions at once: an API server limits what one asks for.
const AT_ONCE: usize = 8;

/// The parts of the role's rights that we do not have.
pub(super) async fn lacking(
    cluster: &Cluster,
    role: Role,
    namespace: &str,
) -> Result<Vec<Wanted>, SourceError> {
    let questions = RIGHTS
        .iter()
        .filter(|right| right.role == role)
        .flat_map(|right| right.verbs.iter().map(move |verb| (right, *verb)));
    let answers: Vec<(&Right, &str, bool)> = futures::stream::iter(questions)
        .map(|(right, verb)| async move {
            Ok::<_, SourceError>((right, verb, may(cluster, right, verb, namespace).await?))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut lacking: Vec<Wanted> = Vec::new();
    for (right, verb, _) in answers.into_iter().filter(|(_, _, allowed)| !allowed) {
        match lacking.last_mut() {
            Some(last) if last.right == right => last.verbs.push(verb),
            _ => lacking.push(Wanted { right, verbs: vec![verb] }),
        }
    }
    Ok(lacking)
}

async fn may(cluster: &Cluster, right: &Right, verb: &str, namespace: &str) -> Result<bool, SourceError> {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_owned())),
        None => (right.resource, None),
    };
    let attributes = ResourceAttributes {
        group: Some(right.group.into()),
        resource: Some(resource.into()),
        subresource,
        verb: Some(verb.into()),
        namespace: (right.scope == Scope::Agents).then(|| namespace.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..Default::default()
    };
    let asked: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = asked.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| trouble::of(&error, "ask for our rights"))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// What it means.
pub(super) fn check_of(lacking: &[Wanted]) -> (Verdict, String) {
    let name = |wanted: &Wanted| {
        let group =
            if wanted.right.group.is_empty() { String::new() } else { format!(".{}", wanted.right.group) };
        let without = if wanted.right.without.is_empty() {
            String::new()
        } else {
            format!(" ({})", wanted.right.without)
        };
        format!("{} {}{group}{without}", wanted.verbs.join("/"), wanted.right.resource)
    };
    let named = lacking.iter().map(name).collect::<Vec<_>>().join("; ");
    let needed = |wanted: &Wanted| wanted.right.without.is_empty();
    match lacking {
        [] => (Verdict::Good, "all".into()),
        _ if lacking.iter().any(needed) => (Verdict::Failed, format!("missing: {named}")),
        _ => (Verdict::Degraded, format!("missing: {named}")),
    }
}

/// As a check. Without the rights to enforce one can still look.
pub(super) fn check(name: &str, lacking: &Result<Vec<Wanted>, SourceError>) -> Check {
    match lacking {
        Ok(lacking) => {
            let (verdict, what) = check_of(lacking);
            let remedy = if lacking.is_empty() { "" } else { "what is missing is printed below as YAML" };
            super::check(name, verdict, what, remedy)
        }
        Err(error) => super::check(name, Verdict::Failed, &error.what, &error.remedy),
    }
}
