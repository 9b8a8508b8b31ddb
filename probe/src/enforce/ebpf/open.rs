//! Connections of ruled services that are open already: which there are, and their descriptors, borrowed from the
//! processes that hold them.

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
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

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

/// A connection and a descriptor of it.
pub(super) struct Held {
    pub(super) open: Open,
    pub(super) fd: OwnedFd,
    pid: u32,
    number: i32,
}

/// Descriptors of these connections, as far as a process holds them.
pub(super) fn borrow(open: &[Open]) -> Vec<Held> {
    let mut wanted: HashMap<u64, Open> =
        open.iter().filter(|open| open.inode != 0).map(|open| (open.inode, *open)).collect();
    let mut found = Vec::new();
    let mut process = None;
    descriptors(|pid, number, inode| {
        let Some(open) = wanted.get(&inode).copied() else { return true };
        if process.as_ref().is_none_or(|(of, _)| *of != pid) {
            process = pidfd(pid).ok().map(|process| (pid, process));
        }
        if let Some((_, process)) = &process
            && let Ok(fd) = descriptor(process, number)
        {
            wanted.remove(&inode);
            found.push(Held { open, fd, pid, number });
        }
        !wanted.is_empty()
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

#[expect(unsafe_code, reason = "pidfd_open has no safe wrapper that gives an owned descriptor")]
fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: numbers only; the kernel gives a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }) }
}

#[expect(unsafe_code, reason = "pidfd_getfd has no safe wrapper")]
fn descriptor(process: &OwnedFd, number: i32) -> io::Result<OwnedFd> {
    // SAFETY: numbers only; the kernel gives a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) };
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }) }
}

/// System calls that wait for bytes of the descriptor that is their first argument.
const READS: [libc::c_long; 4] = [libc::SYS_read, libc::SYS_readv, libc::SYS_recvfrom, libc::SYS_recvmsg];

impl Held {
    /// Whether the socket's program has read all that arrived.
    #[expect(unsafe_code, reason = "the descriptor is another process's socket")]
    pub(super) fn is_drained(&self) -> bool {
        let mut byte = 0_u8;
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: the buffer is one byte, as we say.
        let got = unsafe { libc::recv(self.fd.as_raw_fd(), (&raw mut byte).cast(), 1, flags) };
        // 0: the peer has ended, and nothing is left. An error other than EAGAIN is a socket that is over.
        got <= 0
    }

    /// Whether a thread waits in a blocking read of it. Such a thread would wait for ever when the socket comes into
    /// the map, and be told EAGAIN when it leaves it.
    pub(super) fn is_awaited(&self) -> bool {
        let mut threads = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        threads.any(|thread| {
            let call = fs::read_to_string(thread.path().join("syscall")).unwrap_or_default();
            let mut words = call.split(' ');
            let number = words.next().and_then(|word| word.parse().ok());
            let first =
                words.next().and_then(|word| i64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
            number.is_some_and(|number| READS.contains(&number)) && first == Some(i64::from(self.number))
        })
    }
}
