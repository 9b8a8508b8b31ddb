//! Which processes hold a socket: `/proc/<pid>/fd` links, read without allocating per descriptor.

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, RawDir};
use std::mem::MaybeUninit;

/// Descriptors of one process that are looked at: the default `fs.nr_open`.
const MAX_DESCRIPTORS: usize = 1 << 20;
/// Directory entries are read in blocks of this many bytes.
const BLOCK: usize = 16 * 1024;
/// `socket:[4294967295]`.
const LINK: usize = 32;

/// Gives the inode of every socket that `pid` holds to `each`.
///
/// # Errors
/// The process is gone, or we may not look (`CAP_SYS_PTRACE`).
pub(super) fn sockets_of(pid: u32, mut each: impl FnMut(u64)) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, format!("/proc/{pid}/fd"), flags, Mode::empty())?;
    let mut block = [MaybeUninit::uninit(); BLOCK];
    let mut entries = RawDir::new(&folder, &mut block);
    let mut seen = 0;
    while let Some(entry) = entries.next() {
        seen += 1;
        if seen > MAX_DESCRIPTORS {
            break;
        }
        if let Some(inode) = socket_inode(&folder, entry?.file_name()) {
            each(inode);
        }
    }
    Ok(())
}

fn socket_inode(folder: &OwnedFd, name: &std::ffi::CStr) -> Option<u64> {
    let mut link = [MaybeUninit::uninit(); LINK];
    let (target, _) = rustix::fs::readlinkat_raw(folder, name, &mut link).ok()?;
    let text = std::str::from_utf8(target).ok()?;
    super::process::inode_in(text, "socket:[")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    #[test]
    fn our_own_listener_is_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = rustix::fs::fstat(listener.as_fd()).unwrap().st_ino;
        let mut found = false;
        sockets_of(std::process::id(), |held| found |= held == inode).unwrap();
        assert!(found);
    }

    #[test]
    fn nobody_holds_nothing() {
        assert!(sockets_of(u32::MAX, |_| ()).is_err());
    }
}
