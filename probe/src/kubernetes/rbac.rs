//! Rights as YAML that `kubectl apply -f -` takes.
//!
//! Written by hand, since it is to be read: every rule stands under its reason. Who gets the rights is the reader's
//! business; how, stands in a comment.

use super::rights::{Right, Role, Scope};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The namespace in which agents are put when nobody says otherwise.
pub const AGENTS: &str = "apisec-top";

/// The roles `roles`, each with its own rights only, and the namespace for agents.
#[must_use]
pub fn roles(roles: &[Role], namespace: &str) -> String {
    let mut out = String::new();
    if roles.contains(&Role::Watch) {
        out.push_str(&home(namespace));
    }
    for role in roles {
        let rights: Vec<Wanted> = super::rights::RIGHTS
            .iter()
            .filter(|right| right.role == *role)
            .map(|right| Wanted { right, verbs: right.verbs.to_vec() })
            .collect();
        out.push_str(&documents(&format!("apisec-top-{}", role.word()), &rights, namespace));
    }
    out
}

/// A right, or the part of it that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The right.
    pub right: &'static Right,
    /// The verbs of it that are meant.
    pub verbs: Vec<&'static str>,
}

/// Exactly these rights, under a name that says that something was added.
#[must_use]
pub fn missing(wanted: &[Wanted], namespace: &str) -> String {
    documents("apisec-top-missing", wanted, namespace)
}

/// Agents look into the kernel, so their namespace must allow what the baseline of Pod Security forbids.
fn home(namespace: &str) -> String {
    format!(
        "# Agents look into the node's kernel: this namespace has to allow what others should not.\n\
         apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: privileged\n"
    )
}

fn documents(name: &str, wanted: &[Wanted], namespace: &str) -> String {
    let mut by_scope: BTreeMap<Scope, Vec<&Wanted>> = BTreeMap::new();
    wanted.iter().for_each(|wanted| by_scope.entry(wanted.right.scope).or_default().push(wanted));
    let mut out = String::new();
    for (scope, wanted) in by_scope {
        // Writing to a string does not fail.
        let _ok = document(&mut out, name, scope, &wanted, namespace);
    }
    out
}

fn document(
    out: &mut String,
    name: &str,
    scope: Scope,
    wanted: &[&Wanted],
    namespace: &str,
) -> std::fmt::Result {
    let (kind, place, flag) = match scope {
        Scope::Cluster => ("ClusterRole", String::new(), "clusterrolebinding"),
        Scope::Agents => ("Role", format!("  namespace: {namespace}\n"), "rolebinding"),
    };
    let (role, inside) = match scope {
        Scope::Cluster => ("clusterrole", String::new()),
        Scope::Agents => ("role", format!(" -n {namespace}")),
    };
    writeln!(out, "---")?;
    writeln!(out, "# For somebody: kubectl create {flag} {name}{inside} --{role}={name} --user=NAME")?;
    writeln!(out, "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}")?;
    write!(out, "metadata:\n  name: {name}\n{place}")?;
    writeln!(out, "  labels:\n    app.kubernetes.io/part-of: apisec-top")?;
    writeln!(out, "rules:")?;
    for Wanted { right, verbs } in wanted {
        writeln!(out, "# {}", right.why)?;
        writeln!(out, "- apiGroups: [\"{}\"]", right.group)?;
        writeln!(out, "  resources: [\"{}\"]", right.resource)?;
        let verbs: Vec<String> = verbs.iter().map(|verb| format!("\"{verb}\"")).collect();
        writeln!(out, "  verbs: [{}]", verbs.join(", "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::rights::RIGHTS;
    use k8s_openapi::api::core::v1::Namespace;
    use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role as NamespaceRole};
    use serde_json::Value;

    fn parsed(text: &str) -> Vec<Value> {
        text.split("---\n")
            .filter(|part| !part.trim().is_empty())
            .map(|part| serde_saphyr::from_str(part).unwrap())
            .collect()
    }

    fn rules(document: &Value) -> Vec<PolicyRule> {
        match document["kind"].as_str().unwrap() {
            "ClusterRole" => serde_json::from_value::<ClusterRole>(document.clone()).unwrap().rules.unwrap(),
            "Role" => {
                let role: NamespaceRole = serde_json::from_value(document.clone()).unwrap();
                assert_eq!(role.metadata.namespace.as_deref(), Some("agents"));
                role.rules.unwrap()
            }
            "Namespace" => {
                let _valid: Namespace = serde_json::from_value(document.clone()).unwrap();
                Vec::new()
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_roles_are_the_rights() {
        let documents = parsed(&roles(&Role::ALL, "agents"));
        let kinds: Vec<&str> = documents.iter().map(|document| document["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["Namespace", "ClusterRole", "Role", "ClusterRole", "ClusterRole"]);
        let mut granted: Vec<(String, String, Vec<String>)> = documents
            .iter()
            .flat_map(rules)
            .map(|rule| (rule.api_groups.unwrap().concat(), rule.resources.unwrap().concat(), rule.verbs))
            .collect();
        let mut wanted: Vec<_> = RIGHTS
            .iter()
            .map(|r| {
                (r.group.to_owned(), r.resource.to_owned(), r.verbs.iter().map(ToString::to_string).collect())
            })
            .collect();
        granted.sort();
        wanted.sort();
        assert_eq!(granted, wanted);
    }

    #[test]
    fn who_only_looks_gets_no_right_to_change_policies() {
        assert!(!roles(&[Role::Watch], "agents").contains("networkpolicies"));
        assert!(!roles(&[Role::Enforce], "agents").contains("pods/exec"));
    }

    #[test]
    fn exactly_what_is_missing_is_printed() {
        let exec = RIGHTS.iter().find(|right| right.resource == "pods/exec").unwrap();
        let documents = parsed(&missing(&[Wanted { right: exec, verbs: vec!["create"] }], "agents"));
        let [role] = documents.as_slice() else { panic!("{documents:?}") };
        assert_eq!(rules(role)[0].verbs, ["create"]);
    }
}
