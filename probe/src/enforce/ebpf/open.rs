//! Connections of ruled services that are open already: which there are, and who holds them.

use super::blocking::blocks;
use super::connect::octets;
use crate::identity::namespace::{Traveller, doors};
use crate::identity::netlink::{Netlink, SOCK_DIAG, netns_cookie};
use crate::identity::{process, socket};
use crate::sever::{Target, sever};
use apisec_abi::enforce::ServiceKey;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::SocketAddr;

/// Open connections that are looked at.
const MAX_OPEN: usize = 65_536;

/// A connection that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) cookie: u64,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// 0: no process holds it.
    pub(super) inode: u64,
    /// Cookie of its network namespace.
    pub(super) netns: u64,
}

impl Open {
    /// Closes it; whether it was still there.
    pub(super) fn close(&self) -> bool {
        sever(Target { local: self.local, remote: self.remote, cookie: self.cookie }).is_ok()
    }
}

/// The established sockets of all network namespaces that `wanted` wants: given are the local address and the
/// namespace's cookie.
pub(super) fn established(wanted: impl Fn(&ServiceKey) -> bool + Sync) -> Vec<Open> {
    all(wanted, |each| socket::established(each))
}

/// The same, of those that listen.
pub(super) fn listening(wanted: impl Fn(&ServiceKey) -> bool + Sync) -> Vec<Open> {
    all(wanted, |each| socket::listening(each))
}

/// Reads the sockets of a namespace.
type Read = fn(&mut dyn FnMut(socket::Socket)) -> io::Result<()>;

fn all(wanted: impl Fn(&ServiceKey) -> bool + Sync, read: Read) -> Vec<Open> {
    // A thread of its own: one that is lost in another namespace must not come back.
    std::thread::scope(|scope| scope.spawn(|| everywhere(&wanted, read)).join().unwrap_or_default())
}

fn everywhere(wanted: &impl Fn(&ServiceKey) -> bool, read: Read) -> Vec<Open> {
    let mut found = Vec::new();
    let mut traveller = Traveller::here();
    let own = traveller.own();
    here(wanted, read, &mut found);
    for (inode, door) in doors(&process::all_pids(), true) {
        if inode == own || traveller.stranded() {
            continue;
        }
        // A namespace that is gone has no connections.
        let _gone = traveller.inside(inode, &door, || here(wanted, read, &mut found));
    }
    found
}

fn here(wanted: &impl Fn(&ServiceKey) -> bool, read: Read, found: &mut Vec<Open>) {
    let netns = Netlink::open(SOCK_DIAG).map(|netlink| netns_cookie(&netlink)).unwrap_or_default();
    let _unread = read(&mut |socket| {
        let key =
            ServiceKey { addr: octets(socket.local.ip()), netns, port: socket.local.port(), pad: [0; 6] };
        if found.len() < MAX_OPEN && wanted(&key) {
            found.push(Open {
                cookie: socket.cookie,
                local: socket.local,
                remote: socket.remote,
                inode: socket.inode,
                netns,
            });
        }
    });
}

/// Those for which a thread waits in a blocking read. Such a thread would wait for ever when the socket comes into
/// the map, and be told EAGAIN when it leaves it.
pub(super) fn awaited(open: &[Open]) -> Vec<Open> {
    let wanted: HashMap<u64, Open> =
        open.iter().filter(|open| open.inode != 0).map(|open| (open.inode, *open)).collect();
    let mut found = Vec::new();
    if wanted.is_empty() {
        return found;
    }
    descriptors(|pid, number, inode| {
        if let Some(open) = wanted.get(&inode)
            && blocks(pid, number)
            && is_awaited(pid, number)
        {
            found.push(*open);
        }
        true
    });
    found
}

/// Every descriptor of a socket on this node: process, number and inode, until `each` says that it is enough.
pub(super) fn descriptors(mut each: impl FnMut(u32, i32, u64) -> bool) {
    for pid in process::all_pids() {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for (inode, number) in entries.filter_map(|entry| held(&entry)) {
            if !each(pid, number, inode) {
                return;
            }
        }
    }
}

/// Inode and number of a descriptor that is a socket.
fn held(entry: &fs::DirEntry) -> Option<(u64, i32)> {
    let link = fs::read_link(entry.path()).ok()?;
    let inode = process::inode_in(link.to_str()?, "socket:[")?;
    Some((inode, entry.file_name().to_str()?.parse().ok()?))
}

/// System calls that wait for bytes of the descriptor that is their first argument.
const READS: [libc::c_long; 4] = [libc::SYS_read, libc::SYS_readv, libc::SYS_recvfrom, libc::SYS_recvmsg];

fn is_awaited(pid: u32, number: i32) -> bool {
    let mut threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.any(|thread| {
        let call = fs::read_to_string(thread.path().join("syscall")).unwrap_or_default();
        let mut words = call.split(' ');
        let called = words.next().and_then(|word| word.parse().ok());
        let first = words.next().and_then(|word| i64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
        called.is_some_and(|called| READS.contains(&called)) && first == Some(i64::from(number))
    })
}
