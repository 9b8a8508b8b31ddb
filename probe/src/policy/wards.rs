//! What of this node must not be cut by accident, found out: the operator's session, the API server, DNS, ourselves.

use super::who;
use apisec_engine::policy::guard::{Ward, WardKind};
use std::net::{IpAddr, SocketAddr};

/// Where Kubernetes' components say where their API server is.
const KUBECONFIGS: [&str; 4] = [
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/admin.conf",
    "/etc/rancher/k3s/k3s.yaml",
    "/var/lib/kubelet/kubeconfig",
];
/// Programs by which operators come in, API servers listen, and names are resolved.
const SSH: [&str; 2] = ["sshd", "dropbear"];
const API_SERVERS: [&str; 3] = ["kube-apiserver", "k3s", "kubelet"];
const RESOLVERS: [&str; 6] =
    ["systemd-resolved", "systemd-resolve", "dnsmasq", "coredns", "unbound", "named"];
/// Bytes of a file that are read.
const MAX_FILE: usize = 64 << 10;

/// Finds them.
#[must_use]
pub fn wards() -> Vec<Ward> {
    vec![operator(), api_server(), dns(), ourselves()]
}

fn operator() -> Ward {
    let ancestors = who::ancestors();
    let served = ancestors.iter().filter(|(_, name)| SSH.contains(&name.as_str())).map(|(pid, _)| *pid);
    let place = who::ssh().and_then(|(client, _)| client.parse::<SocketAddr>().ok());
    Ward {
        what: "the operator's ssh session".to_owned(),
        kind: WardKind::Operator,
        pids: served.collect(),
        programs: SSH.map(String::from).to_vec(),
        // Whatever port it comes from next time.
        places: place.map(|place| SocketAddr::new(place.ip(), 0)).into_iter().collect(),
    }
}

fn api_server() -> Ward {
    let variable = |name: &str| std::env::var(name).ok();
    let host = variable("KUBERNETES_SERVICE_HOST").and_then(|host| host.parse::<IpAddr>().ok());
    let port = variable("KUBERNETES_SERVICE_PORT").and_then(|port| port.parse().ok()).unwrap_or(443);
    let mut places: Vec<SocketAddr> = host.map(|host| SocketAddr::new(host, port)).into_iter().collect();
    for path in KUBECONFIGS {
        let text = crate::identity::process::read_bounded(path, MAX_FILE).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let servers = text.lines().filter_map(|line| line.trim().strip_prefix("server: https://"));
        places.extend(servers.filter_map(|server| server.trim_end_matches('/').parse::<SocketAddr>().ok()));
    }
    Ward {
        what: "the Kubernetes API server".to_owned(),
        kind: WardKind::ApiServer,
        pids: Vec::new(),
        programs: API_SERVERS.map(String::from).to_vec(),
        places,
    }
}

fn dns() -> Ward {
    let text = crate::identity::process::read_bounded("/etc/resolv.conf", MAX_FILE).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let places = servers.filter_map(|server| server.trim().parse::<IpAddr>().ok());
    Ward {
        what: "the resolution of names (DNS)".to_owned(),
        kind: WardKind::Dns,
        pids: Vec::new(),
        programs: RESOLVERS.map(String::from).to_vec(),
        places: places.map(|address| SocketAddr::new(address, 53)).collect(),
    }
}

fn ourselves() -> Ward {
    Ward {
        what: "apisec-top itself".to_owned(),
        kind: WardKind::Ourselves,
        pids: vec![std::process::id()],
        programs: vec!["apisec-top".to_owned(), "kubectl-apisec".to_owned()],
        places: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_among_them() {
        let wards = wards();
        assert!(wards.iter().any(|ward| ward.pids.contains(&std::process::id())));
        assert!(wards.iter().all(|ward| !ward.programs.is_empty()));
    }
}
