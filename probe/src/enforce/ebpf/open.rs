//! Connections of ruled services that are open already: which there are, and their descriptors, borrowed from the
//! processes that hold them.

use super::connect::octets;
use crate::identity::namespace::{Traveller, doors};
use crate::identity::netlink::{Netlink, SOCK_DIAG, netns_cookie};
use crate::identity::{process, socket};
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
    inode: u64,
}

/// The established sockets of all network namespaces that `wanted` wants: given are the local address and the
/// namespace's cookie.
pub(super) fn established(wanted: impl Fn(&ServiceKey) -> bool + Sync) -> Vec<Open> {
    // A thread of its own: one that is lost in another namespace must not come back.
    std::thread::scope(|scope| scope.spawn(|| everywhere(&wanted)).join().unwrap_or_default())
}

fn everywhere(wanted: &impl Fn(&ServiceKey) -> bool) -> Vec<Open> {
    let mut found = Vec::new();
    let mut traveller = Traveller::here();
    let own = traveller.own();
    here(wanted, &mut found);
    for (inode, door) in doors(&process::all_pids(), true) {
        if inode == own || traveller.stranded() {
            continue;
        }
        // A namespace that is gone has no connections.
        let _gone = traveller.inside(inode, &door, || here(wanted, &mut found));
    }
    found
}

fn here(wanted: &impl Fn(&ServiceKey) -> bool, found: &mut Vec<Open>) {
    let netns = Netlink::open(SOCK_DIAG).map(|netlink| netns_cookie(&netlink)).unwrap_or_default();
    let _unread = socket::established(|socket| {
        let key =
            ServiceKey { addr: octets(socket.local.ip()), netns, port: socket.local.port(), pad: [0; 6] };
        if found.len() < MAX_OPEN && wanted(&key) {
            found.push(Open {
                cookie: socket.cookie,
                local: socket.local,
                remote: socket.remote,
                inode: socket.inode,
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
    for pid in process::all_pids() {
        if wanted.is_empty() {
            break;
        }
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut process = None;
        for entry in entries {
            let Some((inode, number)) = held(&entry) else { continue };
            let Some(open) = wanted.get(&inode).copied() else { continue };
            if process.is_none() {
                process = pidfd(pid).ok();
            }
            if let Some(process) = &process
                && let Ok(fd) = descriptor(process, number)
            {
                wanted.remove(&inode);
                found.push(Held { open, fd, pid, number });
            }
        }
    }
    found
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
