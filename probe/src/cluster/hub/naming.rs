//! Names of one node to names of all.
//!
//! What a node calls `process:nginx:80` is `process:node-a/nginx:80` here. An address elsewhere is the workload that
//! answers there on the node that has it, or that node, or stays an address.

use super::super::directory::Directory;
use apisec_engine::delta::{Delta, Described};
use apisec_engine::endpoint::Id;
use apisec_engine::graph::EdgeKey;
use apisec_engine::node;
use apisec_proto::call::{Vantage, Workload, WorkloadKind};
use compact_str::CompactString;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Ids that are shared between deltas; more are allocated anew each time.
const MAX_SHARED: usize = 65_536;
/// What the ids of addresses begin with.
const EXTERNAL: &str = "external:";

/// See the module.
#[derive(Default)]
pub(super) struct Naming {
    shared: HashSet<Id>,
}

impl Naming {
    /// The id that a workload of `node` has here. Pods are the cluster's, rows like `{overflow}` everybody's.
    pub(super) fn of_node(&mut self, id: &str, on: &str) -> Id {
        let of_all = id.starts_with("pod:") || id.starts_with('{');
        if of_all { self.share(id) } else { self.share(&node::scoped(id, on)) }
    }

    /// Gives everything in the delta of a node its name here.
    pub(super) fn name(&mut self, delta: &mut Delta, own: &str, nodes: &[Arc<str>], directory: &Directory) {
        let at = delta.to;
        let mut known: HashMap<String, Id> = HashMap::new();
        let mut peers: HashMap<Id, Arc<str>> = HashMap::new();
        let mut name = |id: &str| {
            if let Some(known) = known.get(id) {
                return known.clone();
            }
            let global = match id.strip_prefix(EXTERNAL) {
                None => self.of_node(id, own),
                Some(peer) => match elsewhere(peer, at, nodes, directory) {
                    Peer::Workload(server) => server,
                    Peer::Node(peer) => {
                        let global = self.share(&node::peer(&peer));
                        peers.insert(global.clone(), peer);
                        global
                    }
                    Peer::Ours => self.share(&format!("{EXTERNAL}{own}/{peer}")),
                    Peer::Unknown => self.share(id),
                },
            };
            known.insert(id.to_owned(), global.clone());
            global
        };
        let ours = format!(":{own}/");
        delta.translate(&mut name, |id| {
            id.starts_with(EXTERNAL) || id.starts_with("pod:") || id.starts_with('{') || id.contains(&ours)
        });
        delta.workloads.extend(peers.into_iter().map(|(id, name)| some_of_node(id, &name, at)));
    }

    /// Whether a call of this delta leads to a node of ours, and it is not known yet to whom there.
    pub(super) fn awaits(delta: &Delta, directory: &Directory) -> bool {
        delta.edges.iter().any(|(EdgeKey { dst, vantage, .. }, _)| {
            let peer = dst.strip_prefix(EXTERNAL).filter(|_| *vantage == Vantage::Client);
            let address: Option<SocketAddr> = peer.and_then(|peer| peer.parse().ok());
            address.is_some_and(|address| {
                directory.node(address.ip()).is_some() && directory.server(address, delta.to).is_none()
            })
        })
    }

    fn share(&mut self, id: &str) -> Id {
        if let Some(shared) = self.shared.get(id) {
            return shared.clone();
        }
        let id = Id::from(id);
        if self.shared.len() < MAX_SHARED {
            self.shared.insert(id.clone());
        }
        id
    }
}

enum Peer {
    Workload(Id),
    /// Somebody on that node: of a client only the address is known.
    Node(Arc<str>),
    /// An address that every node has for itself.
    Ours,
    Unknown,
}

fn elsewhere(peer: &str, at: u64, nodes: &[Arc<str>], directory: &Directory) -> Peer {
    let of_node = |ip: IpAddr| {
        let node = directory.node(ip).and_then(|node| nodes.get(node));
        node.map_or(Peer::Unknown, |node| Peer::Node(node.clone()))
    };
    if let Ok(address) = peer.parse::<SocketAddr>() {
        let server = directory.server(address, at).cloned();
        match server {
            Some(server) => Peer::Workload(server),
            None if address.ip().is_loopback() => Peer::Ours,
            None => Peer::Unknown,
        }
    } else if let Ok(ip) = peer.parse::<IpAddr>() {
        if ip.is_loopback() { Peer::Ours } else { of_node(ip) }
    } else {
        Peer::Unknown
    }
}

/// A caller of which only the node is known.
fn some_of_node(id: Id, node: &str, at: u64) -> Described {
    let workload = Workload {
        id: CompactString::from(&*id),
        name: CompactString::from(node),
        kind: WorkloadKind::External,
        ..crate::identity::nobody()
    };
    Described { id, at, workload: Arc::new(workload) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_engine::load::Load;
    use apisec_proto::call::Protocol;

    fn delta(edges: &[(&str, &str, Vantage)]) -> Delta {
        let edges = edges.iter().map(|(src, dst, vantage)| {
            let key = EdgeKey {
                src: Id::from(*src),
                dst: Id::from(*dst),
                protocol: Protocol::Http1,
                vantage: *vantage,
            };
            (key, Load { calls: 1, ..Load::default() })
        });
        Delta { to: 5, edges: edges.collect(), ..Delta::default() }
    }

    fn edges(delta: &Delta) -> Vec<(&str, &str)> {
        delta.edges.iter().map(|(key, _)| (&*key.src, &*key.dst)).collect()
    }

    #[test]
    fn a_call_between_two_nodes_leads_to_the_same_workload_at_both_ends() {
        let (mut naming, mut directory) = (Naming::default(), Directory::default());
        let nodes = [Arc::from("a"), Arc::from("b")];
        directory.host(0, &["10.0.0.1".parse().unwrap()]);
        directory.host(1, &["10.0.0.2".parse().unwrap()]);
        let mut at_a = delta(&[("process:curl", "external:10.0.0.2:80", Vantage::Client)]);
        assert!(Naming::awaits(&at_a, &directory));
        let server = naming.of_node("process:nginx:80", "b");
        directory.place("10.0.0.2:80".parse().unwrap(), server, 1, 1);
        assert!(!Naming::awaits(&at_a, &directory));
        naming.name(&mut at_a, "a", &nodes, &directory);
        assert_eq!(edges(&at_a), [("process:a/curl", "process:b/nginx:80")]);
        let mut at_b = delta(&[("external:10.0.0.1", "process:nginx:80", Vantage::Server)]);
        naming.name(&mut at_b, "b", &nodes, &directory);
        assert_eq!(edges(&at_b), [("node:a", "process:b/nginx:80")]);
        assert_eq!(at_b.workloads.iter().map(|known| &*known.id).collect::<Vec<_>>(), ["node:a"]);
    }

    #[test]
    fn pods_and_strangers_keep_their_names_and_loopback_is_every_nodes_own() {
        let (mut naming, directory) = (Naming::default(), Directory::default());
        let mut delta = delta(&[
            ("pod:0d9f", "external:192.0.2.1:443", Vantage::Client),
            ("process:x", "external:127.0.0.1:80", Vantage::Client),
        ]);
        naming.name(&mut delta, "a", &[Arc::from("a")], &directory);
        let mut named = edges(&delta);
        named.sort_unstable();
        let ours = ("process:a/x", "external:a/127.0.0.1:80");
        assert_eq!(named, [("pod:0d9f", "external:192.0.2.1:443"), ours]);
    }
}
