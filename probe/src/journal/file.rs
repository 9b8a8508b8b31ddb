//! Where a journal is kept: a file that only its owner may read, locked while somebody writes.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What a journal needs of a disk. Tests have one that fails where they want it to.
pub trait Disk {
    /// Gives the lock back when it is dropped.
    type Guard;

    /// Where it is.
    fn path(&self) -> &Path;

    /// The bytes behind `offset`, at most `most`.
    ///
    /// # Errors
    /// They cannot be read.
    fn read_from(&mut self, offset: u64, most: u64) -> io::Result<Vec<u8>>;

    /// Adds `bytes` at the end, and returns when they are on disk.
    ///
    /// # Errors
    /// They may not be there, or not all of them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits until nobody else has the lock, and takes it.
    ///
    /// # Errors
    /// It cannot be locked.
    fn lock(&mut self) -> io::Result<Self::Guard>;
}

/// A file.
pub struct FileDisk {
    path: PathBuf,
    /// `None`: there is none, and it is only to be read.
    file: Option<File>,
}

impl FileDisk {
    /// The file, which is created with its folder.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(open(path, flags, Mode::RUSR | Mode::WUSR)?);
        // The name of a new file is on disk when its folder is.
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { path: path.to_owned(), file: Some(file) })
    }

    /// The file, if there is one.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match open(path, flags, Mode::empty()) {
            Ok(file) => Some(File::from(file)),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { path: path.to_owned(), file })
    }
}

impl Disk for FileDisk {
    type Guard = Lock;

    fn path(&self) -> &Path {
        &self.path
    }

    fn read_from(&mut self, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        if length > offset {
            file.seek(SeekFrom::Start(offset))?;
            file.take(most).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::ReadOnlyFilesystem.into()) };
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn lock(&mut self) -> io::Result<Lock> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let file = File::from(open(PathBuf::from(path), flags, Mode::RUSR | Mode::WUSR)?);
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(Lock(file))
    }
}

/// The lock of a file; the kernel gives it back with the process.
pub struct Lock(#[expect(dead_code, reason = "it is held, not used")] File);

/// Since which start of the machine we run; empty when it is not known.
#[must_use]
pub fn boot() -> String {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let mut id = String::new();
        let file = File::open("/proc/sys/kernel/random/boot_id");
        let _unknown = file.and_then(|file| file.take(64).read_to_string(&mut id));
        id.trim().to_owned()
    })
    .clone()
}
