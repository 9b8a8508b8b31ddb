//! What one needs to be allowed to do in a cluster, as data: the roles, the doctor and the help read it here.
//!
//! Least privilege: every right has its reason, and nothing is here that no code of ours asks for.

/// Whom a right is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looking.
    Watch,
    /// Reading specifications from ConfigMaps: all of these may be listed then, whatever they hold.
    Specifications,
    /// Putting policies into force.
    Enforce,
}

impl Role {
    /// All of them, least first.
    pub const ALL: [Self; 3] = [Self::Watch, Self::Specifications, Self::Enforce];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Specifications => "specifications",
            Self::Enforce => "enforce",
        }
    }
}

/// Where a right holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everywhere.
    Cluster,
    /// In the namespace of the agents.
    Agents,
}

/// Something that has to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// Whom it is for.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// API group; empty for the core.
    pub group: &'static str,
    /// Resource, with its subresource behind a slash.
    pub resource: &'static str,
    /// What is done with it.
    pub verbs: &'static [&'static str],
    /// Why.
    pub why: &'static str,
    /// What is missing without it; empty when nothing works.
    pub without: &'static str,
}

const LOOK: &[&str] = &["list", "watch"];
const CHANGE: &[&str] = &["get", "list", "create", "patch", "delete"];

const fn look(
    group: &'static str,
    resource: &'static str,
    why: &'static str,
    without: &'static str,
) -> Right {
    Right { role: Role::Watch, scope: Scope::Cluster, group, resource, verbs: LOOK, why, without }
}

const fn agents(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Right {
    Right { role: Role::Watch, scope: Scope::Agents, group, resource, verbs, why, without: "" }
}

const fn enforce(
    group: &'static str,
    resource: &'static str,
    why: &'static str,
    without: &'static str,
) -> Right {
    Right { role: Role::Enforce, scope: Scope::Cluster, group, resource, verbs: CHANGE, why, without }
}

const fn whose(group: &'static str, resource: &'static str) -> Right {
    Right {
        role: Role::Enforce,
        scope: Scope::Cluster,
        group,
        resource,
        verbs: &["get"],
        why: "the pods that a name in a policy stands for",
        without: "policies of the cluster cannot name it",
    }
}

/// All of them.
pub const RIGHTS: &[Right] = &[
    look("", "nodes", "which nodes there are, and their addresses", ""),
    look("", "pods", "names of callers and callees; on which node a pod runs", ""),
    look("", "namespaces", "who owns a namespace, by its labels", "owners by namespace are not known"),
    look("", "services", "names of cluster addresses", "calls to cluster addresses stay addresses"),
    look(
        "discovery.k8s.io",
        "endpointslices",
        "the pods behind a service",
        "calls to cluster addresses stay addresses",
    ),
    look(
        "apps",
        "replicasets",
        "the deployment that a pod belongs to",
        "pods are shown by their replica sets",
    ),
    look("batch", "jobs", "the cron job that a pod belongs to", "pods of cron jobs are shown by their jobs"),
    agents(
        "batch",
        "jobs",
        &["get", "list", "create", "delete"],
        "agents are jobs; they are found again by label",
    ),
    agents(
        "",
        "pods",
        &["get", "list", "watch", "create"],
        "when an agent's pod runs, and why not; one is tried by dry run",
    ),
    // Asked by WebSocket that is a GET, and since 1.35 it has to be allowed as a creation as well.
    agents("", "pods/exec", &["get", "create"], "the program is brought to its pod, and reports, over exec"),
    Right {
        role: Role::Specifications,
        scope: Scope::Cluster,
        group: "",
        resource: "configmaps",
        verbs: &["list"],
        why: "specifications, where a ConfigMap is labelled apisec-top/spec",
        without: "specifications in ConfigMaps are not read",
    },
    enforce("networking.k8s.io", "networkpolicies", "connections between pods", "no NetworkPolicy"),
    enforce("cilium.io", "ciliumnetworkpolicies", "requests, where Cilium is", "no CiliumNetworkPolicy"),
    enforce(
        "security.istio.io",
        "authorizationpolicies",
        "requests, where Istio is",
        "no AuthorizationPolicy",
    ),
    enforce(
        "security.kubearmor.com",
        "kubearmorpolicies",
        "processes, where KubeArmor is",
        "no KubeArmorPolicy",
    ),
    whose("", "services"),
    whose("apps", "deployments"),
    whose("apps", "statefulsets"),
    whose("apps", "daemonsets"),
    Right {
        role: Role::Enforce,
        scope: Scope::Cluster,
        group: "batch",
        resource: "jobs",
        verbs: &["get", "create", "delete"],
        why: "a policy goes with the job that owns it, when its time is over",
        without: "policies of the cluster cannot end by themselves, so none is made",
    },
];

/// Those of a role and all before it.
pub fn of(role: Role) -> impl Iterator<Item = &'static Right> {
    RIGHTS.iter().filter(move |right| right.role <= role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watching_changes_nothing_but_its_own_agents() {
        let changes =
            |verb: &&str| matches!(*verb, "create" | "patch" | "update" | "delete" | "deletecollection");
        let wrong = of(Role::Watch).find(|r| r.scope == Scope::Cluster && r.verbs.iter().any(changes));
        assert_eq!(wrong, None);
    }

    #[test]
    fn nobody_may_read_secrets_or_do_everything() {
        let wrong = RIGHTS
            .iter()
            .find(|right| right.resource == "secrets" || right.resource == "*" || right.verbs.contains(&"*"));
        assert_eq!(wrong, None);
    }
}
