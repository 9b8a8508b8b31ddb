//! What else works in a cluster and matters to us: networks, meshes, engines that enforce policies.
//!
//! Known by the API groups that they bring, by what they write at nodes, and by the labels of their pods in
//! `kube-system`; nothing of it is asked beyond that.

use std::collections::BTreeSet;

/// What a companion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Carries the packets of pods.
    Network,
    /// Proxies between pods, usually with TLS.
    Mesh,
    /// Decides what may be made or done.
    Policy,
}

/// Whether a network does what NetworkPolicy objects say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforces {
    /// It does.
    Yes,
    /// The API takes them, and nothing happens.
    No,
    /// That depends on how it was set up.
    Perhaps,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Companion {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What tells it: `group:` of the API, `node:` beginning of an annotation or label of nodes, `pod:` value of the label
    /// `k8s-app`, `app` or `app.kubernetes.io/name` of a pod in `kube-system`.
    pub signs: &'static [&'static str],
    /// Of a network: whether it enforces NetworkPolicy.
    pub enforces: Enforces,
}

const fn network(name: &'static str, signs: &'static [&'static str], enforces: Enforces) -> Companion {
    Companion { name, kind: Kind::Network, signs, enforces }
}

const fn other(name: &'static str, kind: Kind, signs: &'static [&'static str]) -> Companion {
    Companion { name, kind, signs, enforces: Enforces::No }
}

/// Those that are known.
pub const COMPANIONS: &[Companion] = &[
    network("Cilium", &["group:cilium.io", "node:network.cilium.io/", "pod:cilium"], Enforces::Yes),
    network(
        "Calico",
        &["group:crd.projectcalico.org", "node:projectcalico.org/", "pod:calico-node"],
        Enforces::Yes,
    ),
    network("Antrea", &["group:crd.antrea.io", "pod:antrea"], Enforces::Yes),
    network("kube-router", &["pod:kube-router"], Enforces::Yes),
    network("OVN-Kubernetes", &["group:k8s.ovn.org", "node:k8s.ovn.org/"], Enforces::Yes),
    network("Flannel", &["node:flannel.alpha.coreos.com/", "pod:flannel"], Enforces::No),
    network("kindnet", &["pod:kindnet"], Enforces::Perhaps),
    network("Amazon VPC CNI", &["group:vpcresources.k8s.aws", "pod:aws-node"], Enforces::Perhaps),
    network("Azure CNI", &["pod:azure-cns"], Enforces::Perhaps),
    other("Istio", Kind::Mesh, &["group:security.istio.io"]),
    other("Linkerd", Kind::Mesh, &["group:policy.linkerd.io", "group:linkerd.io"]),
    other("Consul", Kind::Mesh, &["group:consul.hashicorp.com"]),
    other("Kuma", Kind::Mesh, &["group:kuma.io"]),
    other("KubeArmor", Kind::Policy, &["group:security.kubearmor.com"]),
    other("Kyverno", Kind::Policy, &["group:kyverno.io"]),
    other("Gatekeeper", Kind::Policy, &["group:templates.gatekeeper.sh"]),
];

/// Those of `kind` whose signs are there.
pub fn present(kind: Kind, signs: &BTreeSet<String>) -> impl Iterator<Item = &'static Companion> {
    let shows = move |sign: &str| match sign.strip_prefix("node:") {
        Some(_) => signs.range(sign.to_owned()..).next().is_some_and(|seen| seen.starts_with(sign)),
        None => signs.contains(sign),
    };
    COMPANIONS.iter().filter(move |one| one.kind == kind && one.signs.iter().any(|sign| shows(sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: Kind, signs: &[&str]) -> Vec<&'static str> {
        let signs = signs.iter().map(ToString::to_string).collect();
        present(kind, &signs).map(|one| one.name).collect()
    }

    #[test]
    fn a_companion_is_known_by_any_of_its_signs() {
        assert_eq!(names(Kind::Network, &["node:flannel.alpha.coreos.com/backend-type"]), ["Flannel"]);
        assert_eq!(names(Kind::Network, &["group:cilium.io"]), ["Cilium"]);
        assert_eq!(names(Kind::Mesh, &["group:security.istio.io", "pod:kindnet"]), ["Istio"]);
    }

    #[test]
    fn what_only_begins_alike_is_none() {
        let none: [&str; 0] = [];
        assert_eq!(
            names(Kind::Network, &["group:cilium.io.example", "pod:cilium-operator", "node:flannel"]),
            none
        );
    }
}
