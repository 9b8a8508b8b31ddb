//! Where a session is written: a file that is a readable session after every frame.

use super::RecordError;
use crate::source::session::frame::file_header;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Takes whole frames.
pub(super) trait Output: Send + 'static {
    /// Adds a frame. After an error nothing of it is left.
    fn append(&mut self, frame: &[u8]) -> io::Result<()>;

    /// Waits until everything is kept.
    fn sync(&mut self) -> io::Result<()>;
}

/// A session file.
pub(super) struct SessionFile {
    file: File,
    length: u64,
}

impl SessionFile {
    /// Makes the file, readable by its owner only, and writes its header.
    pub(super) fn create(path: &Path, force: bool) -> Result<Self, RecordError> {
        let unwritable = |error| RecordError::unwritable(path, &error);
        let file = match open(path, force) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(path)),
            opened => opened.map_err(unwritable)?,
        };
        let mut output = Self { file, length: 0 };
        output.append(&file_header()).map_err(unwritable)?;
        Ok(output)
    }
}

impl Output for SessionFile {
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(frame, self.length) {
            // Half a frame would hide the next one from nobody, but it is damage that we made.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += frame.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Never follows a link at `path`, and never truncates what is not a file: as root that would be anything.
fn open(path: &Path, force: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    if !force {
        return options.create_new(true).open(path);
    }
    let file = options.create(true).truncate(false).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    file.set_permissions(PermissionsExt::from_mode(0o600))?;
    file.set_len(0)?;
    Ok(file)
}

fn exists(path: &Path) -> RecordError {
    RecordError {
        what: format!("{} exists and is not overwritten", path.display()),
        remedy: "record to another file, or remove that one".into(),
    }
}
