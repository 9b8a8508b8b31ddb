//! The folder of the BPF file system that holds what outlives this process, and the lock on it. All that is in it
//! is ours, and what is ours is nowhere else.

use crate::enforce::{EnforceError, Lifetime};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::mount::{MountFlags, mount};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Where the BPF file system is on every node that has one.
const USUAL: &str = "/sys/fs/bpf";
/// Our folder in it.
const NAME: &str = "apisec-top";
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// The folder; it need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// While it lives, no other process of ours changes what is in force.
pub(super) struct Alone(#[expect(dead_code, reason = "closing it unlocks")] Option<OwnedFd>);

impl Folder {
    /// The one that all runs share.
    #[must_use]
    pub fn usual() -> Self {
        let name = std::env::var(crate::policy::PINS).ok().filter(|name| is_name(name));
        Self(Path::new(USUAL).join(name.as_deref().unwrap_or(NAME)))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Another one beside it, for tests that must not meet each other.
    #[must_use]
    pub fn beside(name: &str) -> Self {
        Self(Path::new(USUAL).join(name))
    }

    /// The path of a pin.
    pub(super) fn pin(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes the folder.
    pub(super) fn make(&self) -> Result<(), EnforceError> {
        match fs::create_dir(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(EnforceError::refused("our folder in the BPF file system cannot be made", error))
            }
            _ => Ok(()),
        }
    }

    /// Waits until no other process of ours is at work; mounts the file system where nobody has. The lock lies on
    /// its root, which stays.
    pub(super) fn lock(&self, lifetime: Lifetime) -> Result<Alone, EnforceError> {
        if lifetime == Lifetime::Process {
            return Ok(Alone(None));
        }
        if !is_bpf(Path::new(USUAL)) {
            mount(NAME, USUAL, "bpf", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)
                .map_err(|error| {
                    EnforceError::refused("the BPF file system cannot be mounted at /sys/fs/bpf", error)
                })?;
        }
        let lock = || -> io::Result<OwnedFd> {
            let fd = rustix::fs::open(USUAL, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            flock(&fd, FlockOperation::LockExclusive)?;
            Ok(fd)
        };
        lock()
            .map(|fd| Alone(Some(fd)))
            .map_err(|error| EnforceError::refused("/sys/fs/bpf cannot be locked", error))
    }

    /// Every pin, in order.
    pub(super) fn pins(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().filter_map(Result::ok);
        let mut pins: Vec<_> = entries.map(|entry| entry.path()).collect();
        pins.sort();
        pins
    }

    /// Removes every pin and the folder; links first, so that nothing runs whose maps are gone.
    pub(super) fn remove(&self) -> Result<usize, EnforceError> {
        let mut removed = 0;
        let mut failed = None;
        let (links, maps): (Vec<_>, Vec<_>) = self.pins().into_iter().partition(|path| is_link(path));
        for path in links.iter().chain(&maps) {
            match fs::remove_file(path) {
                Ok(()) => removed += 1,
                Err(error) => failed = Some((path.clone(), error)),
            }
        }
        if let Err(error) = fs::remove_dir(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            failed = failed.or(Some((self.0.clone(), error)));
        }
        match failed {
            Some((path, error)) => Err(EnforceError::refused(format!("{} stays", path.display()), error)),
            None => Ok(removed),
        }
    }
}

/// Names of pinned links begin so.
pub(super) const LINK: &str = "link_";

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_link(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LINK))
}

fn is_bpf(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == BPF_FS_MAGIC)
}
