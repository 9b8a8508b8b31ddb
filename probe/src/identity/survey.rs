//! A picture of who listens where on this node, in all network namespaces. Immutable once drawn.

use super::process::Process;
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub(super) type Map<K, V> = HashMap<K, V, RandomState>;

/// A program that listens: its master process and the workers that share its sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// The oldest process of it.
    pub(super) master: Arc<Process>,
    /// Lowest port that it has listened on.
    pub(super) port: u16,
    /// Its processes with their starts.
    pub(super) members: Vec<(u32, u64)>,
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    /// Bound address, unspecified for all.
    pub(super) address: IpAddr,
    /// Takes no IPv4 although its address is IPv6.
    pub(super) v6only: bool,
    /// Index into [`Survey::servers`], `None` when no process could be found.
    pub(super) server: Option<usize>,
}

/// Where a server address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To this server.
    Server(usize),
    /// To different servers, depending on the namespace.
    Ambiguous(usize),
    /// To this node, where nobody listens.
    Nobody,
    /// Away from this node.
    Elsewhere,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Inode of our own network namespace.
    pub(super) own: u64,
    /// Namespace inodes by kernel cookie.
    pub(super) cookies: Map<u64, u64>,
    /// Namespaces that have an address on an interface.
    pub(super) addresses: Map<IpAddr, SmallVec<[u64; 1]>>,
    /// Listening sockets by namespace and port.
    pub(super) listeners: Map<(u64, u16), SmallVec<[Listener; 1]>>,
    /// Servers.
    pub(super) servers: Vec<Server>,
    /// Start and server of every process that belongs to one.
    pub(super) members: Map<u32, (u64, usize)>,
}

impl Survey {
    /// Whether an address belongs to this node.
    pub(super) fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains_key(&address)
    }

    /// Who is behind `address` in namespace `netns`.
    pub(super) fn within(&self, netns: u64, address: SocketAddr) -> Place {
        let listener = self.listeners.get(&(netns, address.port())).and_then(|all| best(all, address.ip()));
        listener.and_then(|listener| listener.server).map_or(Place::Nobody, Place::Server)
    }

    /// Who is behind `address` in whatever namespace it belongs to.
    pub(super) fn anywhere(&self, address: SocketAddr) -> Place {
        if address.ip().is_loopback() {
            return self.unify(self.listening_on(address.port()), address);
        }
        match self.addresses.get(&address.ip()) {
            Some(owners) => self.unify(owners.iter().copied(), address),
            None => Place::Elsewhere,
        }
    }

    fn listening_on(&self, port: u16) -> impl Iterator<Item = u64> {
        let namespaces = self.listeners.keys().filter(move |(_, bound)| *bound == port);
        namespaces.map(|(netns, _)| *netns)
    }

    /// One answer from all namespaces that may be meant; ours wins where they differ.
    fn unify(&self, namespaces: impl Iterator<Item = u64>, address: SocketAddr) -> Place {
        let mut place = Place::Nobody;
        for netns in namespaces {
            let Place::Server(server) = self.within(netns, address) else { continue };
            place = match place {
                Place::Nobody => Place::Server(server),
                Place::Server(other) if other == server => place,
                _ if netns == self.own => Place::Ambiguous(server),
                Place::Server(other) | Place::Ambiguous(other) => Place::Ambiguous(other),
                Place::Elsewhere => Place::Elsewhere,
            };
        }
        if let (Place::Ambiguous(_), Place::Server(ours)) = (place, self.within(self.own, address)) {
            return Place::Ambiguous(ours);
        }
        place
    }
}

/// The listener that the kernel prefers.
fn best(listeners: &[Listener], address: IpAddr) -> Option<&Listener> {
    let open = listeners.iter().filter(|listener| accepts(listener, address));
    open.max_by_key(|listener| (rank(listener, address), listener.server.is_some()))
}

/// Whether connections to `address` arrive at this listener.
pub(super) fn accepts(listener: &Listener, address: IpAddr) -> bool {
    rank(listener, address) > 0
}

/// The exact address, then all of the family, then both families; 0 where it does not listen.
fn rank(listener: &Listener, address: IpAddr) -> u8 {
    match (listener.address, address) {
        (bound, wanted) if bound == wanted => 3,
        (IpAddr::V4(bound), IpAddr::V4(_)) if bound.is_unspecified() => 2,
        (IpAddr::V6(bound), IpAddr::V6(_)) if bound.is_unspecified() => 2,
        (IpAddr::V6(bound), IpAddr::V4(_)) if bound.is_unspecified() && !listener.v6only => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(listeners: &[(u64, &str, bool, usize)]) -> Survey {
        let mut survey = Survey { own: 1, ..Survey::default() };
        for (netns, address, v6only, server) in listeners {
            let address: SocketAddr = address.parse().unwrap();
            let listener = Listener { address: address.ip(), v6only: *v6only, server: Some(*server) };
            survey.listeners.entry((*netns, address.port())).or_default().push(listener);
        }
        survey.addresses.insert("10.0.0.1".parse().unwrap(), SmallVec::from_slice(&[1]));
        survey.addresses.insert("10.0.0.2".parse().unwrap(), SmallVec::from_slice(&[2]));
        survey
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn the_most_exact_listener_is_meant() {
        let survey =
            survey(&[(1, "0.0.0.0:80", false, 0), (1, "127.0.0.1:80", false, 1), (1, "[::]:80", false, 2)]);
        assert_eq!(survey.within(1, at("127.0.0.1:80")), Place::Server(1));
        assert_eq!(survey.within(1, at("10.0.0.1:80")), Place::Server(0));
        assert_eq!(survey.within(1, at("[::1]:80")), Place::Server(2));
        assert_eq!(survey.within(1, at("10.0.0.1:81")), Place::Nobody);
        assert_eq!(survey.within(2, at("10.0.0.1:80")), Place::Nobody);
    }

    #[test]
    fn a_dual_stack_listener_takes_ipv4_unless_it_says_no() {
        assert_eq!(survey(&[(1, "[::]:80", false, 7)]).within(1, at("10.0.0.1:80")), Place::Server(7));
        assert_eq!(survey(&[(1, "[::]:80", true, 7)]).within(1, at("10.0.0.1:80")), Place::Nobody);
    }

    #[test]
    fn the_owner_of_an_address_decides_between_namespaces() {
        let survey = survey(&[(1, "0.0.0.0:80", false, 0), (2, "0.0.0.0:80", false, 1)]);
        assert_eq!(survey.anywhere(at("10.0.0.1:80")), Place::Server(0));
        assert_eq!(survey.anywhere(at("10.0.0.2:80")), Place::Server(1));
        assert_eq!(survey.anywhere(at("10.0.0.2:81")), Place::Nobody);
        assert_eq!(survey.anywhere(at("192.0.2.1:80")), Place::Elsewhere);
    }

    #[test]
    fn loopback_in_several_namespaces_is_ambiguous_and_ours_is_the_best_guess() {
        for order in [[(1, 0), (2, 1), (3, 2)], [(3, 2), (2, 1), (1, 0)]] {
            let listeners = order.map(|(netns, server)| (netns, "127.0.0.1:80", false, server));
            assert_eq!(survey(&listeners).anywhere(at("127.0.0.1:80")), Place::Ambiguous(0));
        }
        let only = survey(&[(2, "127.0.0.1:80", false, 1)]);
        assert_eq!(only.anywhere(at("127.0.0.1:80")), Place::Server(1));
    }
}
