//! Network namespaces: which there are, and how to look into one.

use super::netlink::{Netlink, ROUTE, SOCK_DIAG, attributes, netns_cookie};
use super::process;
use compact_str::{CompactString, format_compact};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Namespaces that are looked into. A node with more pods than this does not exist today.
pub(super) const MAX_NAMESPACES: usize = 2_048;
/// Bytes of the list of mounts that are read: some ten thousand mounts.
const MAX_MOUNTS: usize = 1 << 20;
/// Addresses of one namespace that are kept.
const MAX_ADDRESSES: usize = 4_096;

const GET_ADDRESSES: u16 = 22;
/// `struct ifaddrmsg`.
const ADDRESS_MESSAGE: usize = 8;
const ATTRIBUTE_ADDRESS: u16 = 1;
const ATTRIBUTE_LOCAL: u16 = 2;

/// A network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Namespace {
    /// Inode of its link.
    pub(super) inode: u64,
    /// A link that leads into it: a process in it, or a mount that keeps it.
    pub(super) door: CompactString,
    /// Kernel cookie, 0 where the kernel does not tell.
    pub(super) cookie: u64,
    /// Addresses of its interfaces without loopback ones.
    pub(super) addresses: Vec<IpAddr>,
}

/// A thread's way into other network namespaces and back home.
pub(crate) struct Traveller {
    home: Option<OwnedFd>,
    own: u64,
    away: bool,
}

impl Traveller {
    /// A traveller whose home is the calling thread's namespace. It must stay on this thread.
    pub(crate) fn here() -> Self {
        let own = process::netns(std::process::id()).unwrap_or_default();
        Self { home: open_link("/proc/thread-self/ns/net").ok(), own, away: false }
    }

    /// Inode of our own namespace.
    pub(crate) fn own(&self) -> u64 {
        self.own
    }

    /// Runs `look` inside a namespace and returns home.
    ///
    /// # Errors
    /// The namespace is gone, or we may not enter it (`CAP_SYS_ADMIN`).
    pub(crate) fn inside<T>(&mut self, inode: u64, door: &str, look: impl FnOnce() -> T) -> io::Result<T> {
        if inode == self.own {
            return Ok(look());
        }
        let link = open_link(door)?;
        if rustix::fs::fstat(&link)?.st_ino != inode {
            return Err(io::ErrorKind::NotFound.into());
        }
        let home = self.home.as_ref().ok_or(io::ErrorKind::PermissionDenied)?;
        move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network))?;
        let seen = look();
        self.away = move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network)).is_err();
        Ok(seen)
    }

    /// The way home was lost: nothing that this thread sees is ours any more.
    pub(crate) fn stranded(&self) -> bool {
        self.away
    }
}

fn open_link(path: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// A door into every namespace that a process lives in or, if wanted, that a mount keeps, by inode.
pub(crate) fn doors(pids: &[u32], mounted: bool) -> HashMap<u64, CompactString> {
    let mut found = HashMap::new();
    let inhabited = pids.iter().filter_map(|pid| {
        let inode = process::netns(*pid)?;
        Some((inode, format_compact!("/proc/{pid}/ns/net")))
    });
    let mounts = process::read_bounded("/proc/self/mountinfo", MAX_MOUNTS).unwrap_or_default();
    let mounts = String::from_utf8_lossy(&mounts);
    for (inode, door) in inhabited.chain(mounts.lines().filter(|_| mounted).filter_map(kept)) {
        if found.len() < MAX_NAMESPACES {
            found.entry(inode).or_insert(door);
        }
    }
    found
}

/// The namespace that a mount such as `/run/netns/blue` keeps, also while nobody lives in it.
fn kept(mount: &str) -> Option<(u64, CompactString)> {
    let mut fields = mount.split(' ').skip(3);
    let (root, at) = (fields.next()?, fields.next()?);
    // Spaces and the like are written in octal: such a mount is not found, which costs a name.
    Some((process::inode_in(root, "net:[")?, at.into()))
}

/// Describes the calling thread's namespace.
pub(super) fn describe(inode: u64, door: CompactString) -> Namespace {
    let cookie = Netlink::open(SOCK_DIAG).map(|netlink| netns_cookie(&netlink)).unwrap_or_default();
    Namespace { inode, door, cookie, addresses: addresses().unwrap_or_default() }
}

/// Addresses of the calling thread's namespace without loopback ones.
pub(super) fn addresses() -> io::Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    Netlink::open(ROUTE)?.dump(GET_ADDRESSES, &[0; ADDRESS_MESSAGE], |payload| {
        let address = address(payload).filter(|address| !address.is_loopback());
        found.extend(address.filter(|_| found.len() < MAX_ADDRESSES));
    })?;
    Ok(found)
}

/// On a point-to-point link `IFA_ADDRESS` is the peer's and `IFA_LOCAL` ours.
fn address(message: &[u8]) -> Option<IpAddr> {
    let attached = message.get(ADDRESS_MESSAGE..)?;
    let find = |wanted| attributes(attached).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let bytes = find(ATTRIBUTE_LOCAL).or_else(|| find(ATTRIBUTE_ADDRESS))?;
    match bytes.len() {
        4 => Some(Ipv4Addr::from(*bytes.first_chunk()?).into()),
        16 => Some(Ipv6Addr::from(*bytes.first_chunk()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_namespace_is_inhabited_by_us() {
        let own = Traveller::here().own();
        assert!(own > 0);
        assert!(doors(&[std::process::id()], false).contains_key(&own));
    }

    #[test]
    fn our_addresses_are_listed_without_loopback() {
        let namespace = describe(1, "".into());
        assert!(namespace.addresses.iter().all(|address| !address.is_loopback()));
    }

    #[test]
    fn a_mount_keeps_a_namespace() {
        let mount = "97 25 0:4 net:[4026532871] /run/netns/blue rw shared:5 - nsfs nsfs rw";
        assert_eq!(kept(mount), Some((4_026_532_871, "/run/netns/blue".into())));
        assert_eq!(kept("97 25 0:4 mnt:[4026532871] /run/x rw - nsfs nsfs rw"), None);
        assert_eq!(kept("25 1 8:1 / / rw - ext4 /dev/vda rw"), None);
    }

    #[test]
    fn a_namespace_that_changed_its_inhabitant_is_not_entered() {
        let mut traveller = Traveller::here();
        let wrong = traveller.own().wrapping_add(1);
        assert!(traveller.inside(wrong, "/proc/self/ns/net", || ()).is_err());
        assert!(!traveller.stranded());
    }
}
