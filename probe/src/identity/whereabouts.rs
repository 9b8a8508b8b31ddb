//! Finds connected sockets by their addresses in all network namespaces, a lookup each instead of a dump.

use super::netlink::{Netlink, SOCK_DIAG};
use super::resolver::Wanted;
use super::socket;
use super::surveyor::Surveyor;

/// Namespace and inode of each wanted socket, 0 where it was not found.
pub(super) fn find(surveyor: &mut Surveyor, wanted: &[Wanted]) -> Vec<(u64, u64)> {
    let mut found = vec![(0, 0); wanted.len()];
    let own = surveyor.traveller.own();
    let mut namespaces: Vec<_> =
        surveyor.namespaces.values().map(|namespace| (namespace.inode, namespace.door.clone())).collect();
    namespaces.sort_unstable_by_key(|(inode, _)| (*inode != own, *inode));
    for (inode, door) in namespaces {
        let look = || search_here(wanted, &mut found, inode);
        if surveyor.traveller.inside(inode, &door, look).is_err() {
            continue;
        }
    }
    found
}

fn search_here(wanted: &[Wanted], found: &mut [(u64, u64)], netns: u64) {
    let Ok(mut netlink) = Netlink::open(SOCK_DIAG) else { return };
    for (wanted, place) in wanted.iter().zip(found) {
        if place.0 != 0 {
            continue;
        }
        let socket = socket::connected(&mut netlink, wanted.local, wanted.remote).ok().flatten();
        let meant = socket.filter(|socket| wanted.cookie == 0 || wanted.cookie == socket.cookie);
        if let Some(socket) = meant {
            *place = (netns, socket.inode);
        }
    }
}
