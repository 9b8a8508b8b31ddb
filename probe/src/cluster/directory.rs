//! Whose an address is: where a workload of one node answers, so that calls from another node lead to it.
//!
//! An address is known from a time on, because addresses are used again. What two nodes claim at once is nobody's:
//! networks that every node has (a bridge of Docker) and lies look the same.

use apisec_engine::endpoint::Id;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Addresses with ports that are known: thirty for each workload of the largest cluster that is planned for.
const MAX_PLACES: usize = 65_536;
/// Addresses of nodes.
const MAX_HOSTS: usize = 65_536;
/// Owners of one address that are remembered.
const MAX_OWNERS: usize = 8;
/// A claim within so many nanoseconds after another node's is a contradiction, later it is a new owner.
const CONTEST: u64 = 30_000_000_000;

/// See the module.
#[derive(Default)]
pub(super) struct Directory {
    places: HashMap<SocketAddr, Vec<Owner>>,
    hosts: HashMap<IpAddr, Host>,
    /// Addresses that more than one node claims.
    pub(super) contested: u64,
}

struct Owner {
    id: Id,
    node: usize,
    /// From when on, and when last claimed; Unix nanoseconds.
    since: u64,
    claimed: u64,
    contested: bool,
}

enum Host {
    Of(usize),
    OfSeveral,
}

impl Directory {
    /// A node says that one of its workloads answered at an address.
    pub(super) fn place(&mut self, address: SocketAddr, id: Id, node: usize, at: u64) {
        if is_everywhere(address.ip()) {
            return;
        }
        if self.places.len() >= MAX_PLACES && !self.places.contains_key(&address) {
            return;
        }
        let owners = self.places.entry(address).or_default();
        if let Some(last) = owners.last_mut() {
            if last.node == node && last.id == id {
                last.claimed = last.claimed.max(at);
                return;
            }
            if last.node != node && at < last.claimed.saturating_add(CONTEST) {
                self.contested += u64::from(!std::mem::replace(&mut last.contested, true));
                return;
            }
        }
        // What it is from now on it was from the beginning, where nobody else was before.
        let since = if owners.is_empty() { 0 } else { at };
        owners.push(Owner { id, node, since, claimed: at, contested: false });
        if owners.len() > MAX_OWNERS {
            owners.remove(0);
        }
    }

    /// These addresses are of a node.
    pub(super) fn host(&mut self, node: usize, addresses: &[IpAddr]) {
        for address in addresses.iter().filter(|address| !is_everywhere(**address)) {
            let full = self.hosts.len() >= MAX_HOSTS;
            match self.hosts.get_mut(address) {
                Some(Host::Of(known)) if *known == node => {}
                Some(known) => *known = Host::OfSeveral,
                None if full => {}
                None => drop(self.hosts.insert(*address, Host::Of(node))),
            }
        }
    }

    /// The workload that answers at an address, at that time.
    pub(super) fn server(&self, address: SocketAddr, at: u64) -> Option<&Id> {
        let owners = self.places.get(&address)?;
        let owner = owners.iter().rev().find(|owner| owner.since <= at).or_else(|| owners.first())?;
        (!owner.contested).then_some(&owner.id)
    }

    /// The node that an address belongs to.
    pub(super) fn node(&self, address: IpAddr) -> Option<usize> {
        match self.hosts.get(&address)? {
            Host::Of(node) => Some(*node),
            Host::OfSeveral => None,
        }
    }
}

/// Every node has it, or none.
fn is_everywhere(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified() || address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_that_is_used_again_leads_to_whoever_had_it_then() {
        let mut directory = Directory::default();
        let address = at("10.0.0.9:80");
        directory.place(address, Id::from("old"), 0, 10 * SECOND);
        directory.place(address, Id::from("new"), 1, 100 * SECOND);
        assert_eq!(directory.server(address, 20 * SECOND).map(|id| &**id), Some("old"));
        assert_eq!(directory.server(address, 100 * SECOND).map(|id| &**id), Some("new"));
        assert_eq!(directory.server(at("10.0.0.9:81"), 20 * SECOND), None);
    }

    #[test]
    fn what_two_nodes_claim_at_once_is_nobodys() {
        let mut directory = Directory::default();
        let address = at("172.17.0.2:80");
        directory.place(address, Id::from("a"), 0, SECOND);
        directory.place(address, Id::from("b"), 1, 2 * SECOND);
        assert_eq!((directory.server(address, 2 * SECOND), directory.contested), (None, 1));
        directory.host(0, &[address.ip()]);
        assert_eq!(directory.node(address.ip()), Some(0));
        directory.host(1, &[address.ip()]);
        assert_eq!(directory.node(address.ip()), None);
    }

    #[test]
    fn loopback_is_nobodys() {
        let mut directory = Directory::default();
        directory.place(at("127.0.0.1:80"), Id::from("a"), 0, SECOND);
        directory.host(0, &[IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(directory.server(at("127.0.0.1:80"), SECOND), None);
        assert_eq!(directory.node([127, 0, 0, 1].into()), None);
    }
}
