//! Names of one node to names of all.
//!
//! What a node calls `process:nginx:80` is `process:node-a/nginx:80` here. An address elsewhere is the workload that
//! answers there on the node that has it, or that node, or stays an address.

use super::super::directory::Directory;
use crate::cluster::names::{Named, Names, Tenant};
use apisec_engine::degradation::Degradation;
use apisec_engine::delta::{Delta, Described};
use apisec_engine::endpoint::Id;
use apisec_engine::graph::EdgeKey;
use apisec_engine::node;
use apisec_engine::rename::Rename;
use apisec_proto::call::{Vantage, Workload, WorkloadKind};
use compact_str::CompactString;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

/// Ids that are shared between deltas; more are allocated anew each time.
const MAX_SHARED: usize = 65_536;
/// Pods of which not all was known and whose ids are remembered.
const MAX_GIVEN: usize = 8_192;
/// What the ids of addresses begin with...
const EXTERNAL: &str = "external:";
/// ...and those of pods, as their node calls them.
const POD: &str = "pod:";

/// See the module.
#[derive(Default)]
pub(super) struct Naming {
    shared: HashSet<Id>,
    /// What an API server tells.
    names: Option<Rc<dyn Names>>,
    /// Under which ids pods were handed on while not all was known of them, by UID.
    given: HashMap<String, Id>,
}

impl Naming {
    /// With what somebody else knows of names.
    pub(super) fn with(names: Option<Rc<dyn Names>>) -> Self {
        Self { names, ..Self::default() }
    }

    /// The id that a workload of `node` has here. Rows like `{overflow}` are everybody's.
    pub(super) fn of_node(&mut self, id: &str, on: &str) -> Id {
        match id.strip_prefix(POD) {
            Some(uid) => match self.pod(uid) {
                Some(named) => self.share(&named.id),
                None => self.share(id),
            },
            None if id.starts_with('{') => self.share(id),
            None => self.share(&node::scoped(id, on)),
        }
    }

    fn pod(&self, uid: &str) -> Option<Named> {
        self.names.as_ref()?.pod(uid)
    }

    /// Whether everything should wait a moment for names.
    pub(super) fn settling(&self) -> bool {
        self.names.as_ref().is_some_and(|names| names.settling())
    }

    /// What is not known of names.
    pub(super) fn degradations(&self, watched: &dyn Fn(&str) -> bool) -> Vec<Degradation> {
        self.names.as_ref().map(|names| names.degradations(watched)).unwrap_or_default()
    }

    /// Gives everything in the delta of a node its name here.
    pub(super) fn name(&mut self, delta: &mut Delta, own: &str, nodes: &[Arc<str>], directory: &Directory) {
        let at = delta.to;
        let mut known: HashMap<String, Id> = HashMap::new();
        let (mut peers, mut renames) = (HashMap::new(), Vec::new());
        // Pods of this node: what it says of them stays, under their name.
        let pods = RefCell::new(HashMap::new());
        let mut name = |id: &str| {
            if let Some(known) = known.get(id) {
                return known.clone();
            }
            let global = match id.strip_prefix(EXTERNAL) {
                None => {
                    let global = self.of_node(id, own);
                    if let Some(uid) = id.strip_prefix(POD) {
                        renames.extend(self.refine(uid, &global));
                        pods.borrow_mut().insert(global.clone(), uid.to_owned());
                    }
                    global
                }
                Some(peer) => match self.elsewhere(peer, at, nodes, directory) {
                    Peer::Workload(server) => server,
                    Peer::Named(named) => {
                        let global = self.share(&named.id);
                        peers.insert(global.clone(), named.workload);
                        global
                    }
                    Peer::Node(peer) => {
                        let global = self.share(&node::peer(&peer));
                        peers.insert(global.clone(), some_of_node(&global, &peer));
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
            id.starts_with(EXTERNAL)
                || id.starts_with('{')
                || id.contains(&ours)
                || pods.borrow().contains_key(id)
        });
        delta.renames.extend(renames);
        for described in &mut delta.workloads {
            let named = pods.borrow().get(&described.id).and_then(|uid| self.pod(uid));
            if let Some(Named { workload, .. }) = named {
                let seen = Arc::make_mut(&mut described.workload);
                (seen.name, seen.kind, seen.owner) = (workload.name, workload.kind, workload.owner);
                if !workload.user.is_empty() {
                    seen.user = workload.user;
                }
            }
        }
        let peers = peers.into_iter().filter(|(id, _)| !pods.borrow().contains_key(id));
        delta.workloads.extend(peers.map(|(id, workload)| Described {
            id,
            at,
            workload: Arc::new(workload),
        }));
    }

    /// Notes under which id a pod is handed on while that may change; what it was before, when it changed.
    fn refine(&mut self, uid: &str, id: &Id) -> Option<Rename> {
        let open = self.names.as_ref().is_some_and(|names| names.pod(uid).is_none() || names.awaits(uid));
        match self.given.get(uid).cloned() {
            None if open && self.given.len() < MAX_GIVEN => {
                drop(self.given.insert(uid.to_owned(), id.clone()));
            }
            Some(earlier) if earlier != *id => {
                if open {
                    self.given.insert(uid.to_owned(), id.clone());
                } else {
                    self.given.remove(uid);
                }
                return Some(Rename { from: earlier, to: id.clone() });
            }
            _ => {}
        }
        None
    }

    /// Whether a call of this delta leads to a node of ours and it is not known yet to whom there, or a pod of it has
    /// no name yet.
    pub(super) fn awaits(&self, delta: &Delta, directory: &Directory) -> bool {
        delta.edges.iter().any(|(EdgeKey { src, dst, vantage, .. }, _)| {
            let nameless = |id: &Id| {
                id.strip_prefix(POD)
                    .is_some_and(|uid| self.names.as_ref().is_some_and(|names| names.awaits(uid)))
            };
            let peer = dst.strip_prefix(EXTERNAL).filter(|_| *vantage == Vantage::Client);
            let address: Option<SocketAddr> = peer.and_then(|peer| peer.parse().ok());
            let unheard = |address: SocketAddr| {
                directory.node(address.ip()).is_some() && directory.server(address, delta.to).is_none()
            };
            nameless(src) || nameless(dst) || address.is_some_and(unheard)
        })
    }

    fn elsewhere(&mut self, peer: &str, at: u64, nodes: &[Arc<str>], directory: &Directory) -> Peer {
        let of_node = |ip: IpAddr| {
            let node = directory.node(ip).and_then(|node| nodes.get(node));
            node.map_or(Peer::Unknown, |node| Peer::Node(node.clone()))
        };
        if let Ok(address) = peer.parse::<SocketAddr>() {
            match directory.server(address, at).cloned() {
                // It was placed before its name was known.
                Some(server) if server.starts_with(POD) => Peer::Workload(self.of_node(&server, "")),
                Some(server) => Peer::Workload(server),
                None if address.ip().is_loopback() => Peer::Ours,
                None => {
                    match self.names.as_ref().map_or(Tenant::Unknown, |names| names.server(address, at)) {
                        Tenant::Named(named) => Peer::Named(named),
                        Tenant::Node(_) | Tenant::Unknown => Peer::Unknown,
                    }
                }
            }
        } else if let Ok(ip) = peer.parse::<IpAddr>() {
            match self.names.as_ref().map_or(Tenant::Unknown, |names| names.at(ip, at)) {
                _ if ip.is_loopback() => Peer::Ours,
                Tenant::Named(named) => Peer::Named(named),
                Tenant::Node(node) => Peer::Node(node.into()),
                Tenant::Unknown => of_node(ip),
            }
        } else {
            Peer::Unknown
        }
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
    /// Somebody of whom nodes have said nothing yet.
    Named(Box<Named>),
    /// Somebody on that node: of a client only the address is known.
    Node(Arc<str>),
    /// An address that every node has for itself.
    Ours,
    Unknown,
}

/// A caller of which only the node is known.
fn some_of_node(id: &Id, node: &str) -> Workload {
    Workload {
        id: CompactString::from(&**id),
        name: CompactString::from(node),
        kind: WorkloadKind::External,
        ..crate::identity::nobody()
    }
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
        assert!(naming.awaits(&at_a, &directory));
        let server = naming.of_node("process:nginx:80", "b");
        directory.place("10.0.0.2:80".parse().unwrap(), server, 1, 1);
        assert!(!naming.awaits(&at_a, &directory));
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

    /// One pod, its service, and its node's address; what it is called changes once.
    struct Book {
        owner: RefCell<&'static str>,
    }

    impl Names for Book {
        fn pod(&self, uid: &str) -> Option<Named> {
            let owner = *self.owner.borrow();
            let workload = || Workload::named(owner, "shop/cart", WorkloadKind::Deployment);
            (uid == "u1" && !owner.is_empty()).then(|| Named { id: Id::from(owner), workload: workload() })
        }

        fn at(&self, address: IpAddr, _: u64) -> Tenant {
            let pod = || self.pod("u1").map_or(Tenant::Unknown, |named| Tenant::Named(Box::new(named)));
            if address == IpAddr::from([10, 244, 0, 1]) { pod() } else { Tenant::Unknown }
        }

        fn server(&self, address: SocketAddr, at: u64) -> Tenant {
            if address.ip() == IpAddr::from([10, 96, 0, 1]) {
                self.at([10, 244, 0, 1].into(), at)
            } else {
                Tenant::Unknown
            }
        }

        fn awaits(&self, uid: &str) -> bool {
            uid == "u1" && !self.owner.borrow().starts_with("deployment:")
        }

        fn settling(&self) -> bool {
            false
        }

        fn degradations(&self, _: &dyn Fn(&str) -> bool) -> Vec<Degradation> {
            Vec::new()
        }
    }

    #[test]
    fn a_pod_has_one_name_as_itself_behind_its_address_and_behind_its_service() {
        let book = Rc::new(Book { owner: RefCell::new("deployment:shop/cart") });
        let (mut naming, directory) = (Naming::with(Some(book)), Directory::default());
        let mut delta = delta(&[
            ("pod:u1", "external:10.96.0.1:80", Vantage::Client),
            ("external:10.244.0.1", "process:nginx:80", Vantage::Server),
            ("pod:u2", "external:192.0.2.1:443", Vantage::Client),
        ]);
        let mut workload = Workload::named("pod:u1", "u1", WorkloadKind::Pod);
        workload.exe = "/bin/cart".into();
        delta.workloads = vec![Described { id: Id::from("pod:u1"), at: 5, workload: Arc::new(workload) }];
        naming.name(&mut delta, "a", &[Arc::from("a")], &directory);
        let mut named = edges(&delta);
        named.sort_unstable();
        let cart = "deployment:shop/cart";
        assert_eq!(named, [(cart, cart), (cart, "process:a/nginx:80"), ("pod:u2", "external:192.0.2.1:443")]);
        let [described] = delta.workloads.as_slice() else { panic!("{:?}", delta.workloads) };
        let Workload { id, name, kind, exe, .. } = &*described.workload;
        assert_eq!((id.as_str(), name.as_str(), exe.as_str()), (cart, "shop/cart", "/bin/cart"));
        assert_eq!(*kind, WorkloadKind::Deployment);
    }

    #[test]
    fn a_pod_that_was_handed_on_too_early_is_renamed_once() {
        let book = Rc::new(Book { owner: RefCell::new("") });
        let (mut naming, directory) = (Naming::with(Some(book.clone())), Directory::default());
        let mut told = Vec::new();
        for owner in ["", "", "replicaset:shop/cart-1", "deployment:shop/cart", "deployment:shop/cart"] {
            *book.owner.borrow_mut() = owner;
            let mut delta = delta(&[("pod:u1", "external:192.0.2.1:443", Vantage::Client)]);
            assert_eq!(naming.awaits(&delta, &directory), !owner.starts_with("deployment"));
            naming.name(&mut delta, "a", &[Arc::from("a")], &directory);
            told.extend(delta.renames.iter().map(|one| (one.from.to_string(), one.to.to_string())));
        }
        let expected =
            [("pod:u1", "replicaset:shop/cart-1"), ("replicaset:shop/cart-1", "deployment:shop/cart")];
        assert_eq!(told, expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
    }
}
