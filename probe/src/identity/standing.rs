//! Connections that were open before us: whose they are, which role their sockets have, and which pairs
//! have both ends on this node.

use super::process;
use super::socket::{self, Socket};
use super::survey::Map;
use super::surveyor::Surveyor;
use crate::reach::Reach;
use apisec_abi::{ROLE_CLIENT, ROLE_SERVER, Seed, VERDICT_PEER_COVERED, VERDICT_UNDECIDED};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

/// Open connections that are looked at; those beyond are named by their addresses.
const MAX_STANDING: usize = 131_072;

/// A socket that was connected before us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Inode of its network namespace.
    pub(super) netns: u64,
    /// Pid and start of a process that holds it, 0 when unknown.
    pub(super) holder: (u32, u64),
    /// The same of the other end, when that is on this node.
    pub(super) peer: (u32, u64),
}

/// A connected socket, where it is, and whether its port is listened on there.
pub(super) struct Connected {
    netns: u64,
    socket: Socket,
    accepted: bool,
}

/// The connected sockets of the node. The surveyor's next search of all processes notes who holds them.
pub(super) fn look(surveyor: &mut Surveyor) -> Vec<Connected> {
    surveyor.visit_all();
    let sockets = connected(surveyor);
    surveyor.connected = sockets.iter().map(|found| (found.socket.inode, None)).collect();
    surveyor.connected.remove(&0);
    sockets
}

/// Whose the connected sockets are, by cookie, after the search.
pub(super) fn standing(surveyor: &mut Surveyor, sockets: &[Connected]) -> Map<u64, Standing> {
    let pairs = Pairs::of(sockets);
    let holders = std::mem::take(&mut surveyor.connected);
    let pids: HashSet<u32> = holders.values().flatten().copied().collect();
    let starts: HashMap<u32, u64> =
        pids.into_iter().filter_map(|pid| Some((pid, process::start(pid)?))).collect();
    let holder = |found: &Connected| {
        let pid = holders.get(&found.socket.inode).copied().flatten().unwrap_or_default();
        starts.get(&pid).map_or((0, 0), |start| (pid, *start))
    };
    let describe = |found: &Connected| Standing {
        netns: found.netns,
        holder: holder(found),
        peer: pairs.peer(found).map_or((0, 0), holder),
    };
    sockets.iter().map(|found| (found.socket.cookie, describe(found))).collect()
}

/// What the kernel side is told about the connections that are open now, by socket cookie.
///
/// The client's end of a pair whose other end is on this node too is not captured: the server's is.
#[must_use]
pub fn seed() -> Vec<(u64, Seed)> {
    std::thread::spawn(|| {
        let mut surveyor = Surveyor::new(Reach::Node);
        surveyor.visit_all();
        seeds(&connected(&mut surveyor))
    })
    .join()
    .unwrap_or_default()
}

fn seeds(sockets: &[Connected]) -> Vec<(u64, Seed)> {
    let pairs = Pairs::of(sockets);
    let seed = |found: &Connected| {
        let peer = pairs.peer(found);
        let server = found.accepted && !peer.is_some_and(|peer| peer.accepted && peer.port() < found.port());
        let covered = !server && peer.is_some_and(|peer| peer.accepted);
        Seed {
            role: if server { ROLE_SERVER } else { ROLE_CLIENT },
            verdict: if covered { VERDICT_PEER_COVERED } else { VERDICT_UNDECIDED },
            pad: [0; 6],
        }
    };
    sockets.iter().map(|found| (found.socket.cookie, seed(found))).collect()
}

impl Connected {
    fn port(&self) -> u16 {
        self.socket.local.port()
    }
}

/// Both ends of a connection, found by their addresses.
struct Pairs<'a> {
    by_ends: HashMap<(SocketAddr, SocketAddr), Vec<&'a Connected>>,
}

impl<'a> Pairs<'a> {
    fn of(sockets: &'a [Connected]) -> Self {
        let mut by_ends: HashMap<_, Vec<_>> = HashMap::with_capacity(sockets.len());
        for found in sockets {
            by_ends.entry((found.socket.local, found.socket.remote)).or_default().push(found);
        }
        Self { by_ends }
    }

    /// The other end: on loopback in the same namespace, otherwise the only one there is.
    fn peer(&self, found: &Connected) -> Option<&'a Connected> {
        let others = self.by_ends.get(&(found.socket.remote, found.socket.local))?;
        let mut near = others.iter().filter(|other| other.netns == found.netns);
        if let Some(near) = near.next() {
            return Some(near);
        }
        let single = others.len() == 1 && !found.socket.local.ip().is_loopback();
        others.first().filter(|_| single).copied()
    }
}

fn connected(surveyor: &mut Surveyor) -> Vec<Connected> {
    let mut found = Vec::new();
    let ports = surveyor.listening_ports();
    let places: Vec<_> =
        surveyor.namespaces.values().map(|namespace| (namespace.inode, namespace.door.clone())).collect();
    for (netns, door) in places {
        let look = || {
            socket::established(|socket| {
                if found.len() < MAX_STANDING {
                    let accepted = ports.contains(&(netns, socket.local.port()));
                    found.push(Connected { netns, socket, accepted });
                }
            })
        };
        if surveyor.traveller.inside(netns, &door, look).is_err() {
            continue;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::socket_cookie;
    use std::net::{TcpListener, TcpStream};

    fn socket(netns: u64, local: &str, remote: &str, cookie: u64, accepted: bool) -> Connected {
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        Connected { netns, socket: Socket { local, remote, inode: 0, cookie, v6only: false }, accepted }
    }

    fn seeded(sockets: &[Connected]) -> HashMap<u64, (u8, u8)> {
        seeds(sockets).into_iter().map(|(cookie, seed)| (cookie, (seed.role, seed.verdict))).collect()
    }

    #[test]
    fn the_client_of_a_local_pair_is_covered() {
        let seeds = seeded(&[
            socket(1, "127.0.0.1:80", "127.0.0.1:4000", 1, true),
            socket(1, "127.0.0.1:4000", "127.0.0.1:80", 2, false),
            socket(1, "10.0.0.1:80", "10.0.0.2:4000", 3, true),
            socket(2, "10.0.0.2:4000", "10.0.0.1:80", 4, false),
            socket(1, "10.0.0.1:4001", "192.0.2.1:80", 5, false),
        ]);
        assert_eq!(seeds[&1], (ROLE_SERVER, VERDICT_UNDECIDED));
        assert_eq!(seeds[&2], (ROLE_CLIENT, VERDICT_PEER_COVERED));
        assert_eq!(seeds[&3], (ROLE_SERVER, VERDICT_UNDECIDED));
        assert_eq!(seeds[&4], (ROLE_CLIENT, VERDICT_PEER_COVERED));
        assert_eq!(seeds[&5], (ROLE_CLIENT, VERDICT_UNDECIDED));
    }

    #[test]
    fn loopback_pairs_of_other_namespaces_are_not_mixed_up() {
        let sockets = [
            socket(1, "127.0.0.1:80", "127.0.0.1:4000", 1, true),
            socket(2, "127.0.0.1:4000", "127.0.0.1:80", 2, false),
        ];
        assert_eq!(seeded(&sockets)[&2], (ROLE_CLIENT, VERDICT_UNDECIDED));
    }

    #[test]
    fn a_pair_whose_ports_are_both_listened_on_has_one_server() {
        let sockets = [
            socket(1, "127.0.0.1:80", "127.0.0.1:4000", 1, true),
            socket(1, "127.0.0.1:4000", "127.0.0.1:80", 2, true),
        ];
        assert_eq!(seeded(&sockets)[&1], (ROLE_SERVER, VERDICT_UNDECIDED));
        assert_eq!(seeded(&sockets)[&2], (ROLE_CLIENT, VERDICT_PEER_COVERED));
    }

    #[test]
    fn our_own_connection_is_seeded_at_both_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let seeds: HashMap<_, _> = seed().into_iter().collect();
        let of_server = seeds[&socket_cookie(&server).unwrap()];
        let of_client = seeds[&socket_cookie(&client).unwrap()];
        assert_eq!((of_server.role, of_server.verdict), (ROLE_SERVER, VERDICT_UNDECIDED));
        assert_eq!((of_client.role, of_client.verdict), (ROLE_CLIENT, VERDICT_PEER_COVERED));

        let mut surveyor = Surveyor::new(Reach::Node);
        let sockets = look(&mut surveyor);
        surveyor.survey(&[], false);
        let standing = standing(&mut surveyor, &sockets);
        let ours = standing[&socket_cookie(&server).unwrap()];
        assert_eq!((ours.holder.0, ours.peer.0), (std::process::id(), std::process::id()));
    }
}
