//! The journal of what was done about policies: append-only, on disk before the thing itself is done.
//!
//! One line per entry: a checksum, a space, JSON. What was torn by a crash or damaged on disk is skipped, counted
//! and said; it never hides what stands after it. Nothing is changed or deleted: taking something back is an
//! entry of its own. Several programs may use one journal: who writes holds its lock and first reads what the
//! others wrote.
//!
//! It does nothing itself, and does not know what a kernel is.

mod entry;
mod file;

pub use entry::{Ending, Entry, Event, Who};
pub use file::{Disk, FileDisk, boot};

use std::io;
use std::path::Path;
use thiserror::Error;

/// Longest line that is written or read: a policy whose list has a thousand names.
const MAX_LINE: usize = 512 << 10;
/// Most bytes of a journal that are read: some hundred thousand entries.
const MAX_BYTES: u64 = 256 << 20;
/// Places of damage that are named.
const MAX_DAMAGE: usize = 16;

/// Why nothing was journalled. Then nothing is done either.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The disk.
    #[error("the journal {path} cannot be {doing}: {why}")]
    Disk {
        /// Its file.
        path: String,
        /// `read` or `written`.
        doing: &'static str,
        /// What the system said.
        why: io::Error,
    },
    /// An entry is larger than it may be.
    #[error("this policy is too large for the journal: it may have {MAX_LINE} bytes")]
    TooLong,
}

/// What of the journal could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Lines.
    pub lines: u64,
    /// Where the first of them are, in bytes from the beginning.
    pub at: Vec<u64>,
}

/// An open journal.
pub struct Journal<D: Disk = FileDisk> {
    disk: D,
    entries: Vec<Entry>,
    damage: Damage,
    /// Bytes that were read and understood.
    read_to: u64,
    /// The file ends within a line.
    torn: bool,
}

impl Journal<FileDisk> {
    /// Opens the journal in a file, which is created.
    ///
    /// # Errors
    /// It cannot be created or read.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Self::on(FileDisk::open(path).map_err(|why| unusable(path, "read", why))?)
    }

    /// Opens a journal that will only be read; one that is not there is empty.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> Result<Self, JournalError> {
        Self::on(FileDisk::read(path).map_err(|why| unusable(path, "read", why))?)
    }
}

impl<D: Disk> Journal<D> {
    /// The journal on a disk.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn on(disk: D) -> Result<Self, JournalError> {
        let mut journal =
            Self { disk, entries: Vec::new(), damage: Damage::default(), read_to: 0, torn: false };
        journal.catch_up()?;
        Ok(journal)
    }

    /// All entries that could be read, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What could not be read.
    #[must_use]
    pub const fn damage(&self) -> &Damage {
        &self.damage
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.disk.path()
    }

    /// Reads what others have written since. True when there was something.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn catch_up(&mut self) -> Result<bool, JournalError> {
        let read = self.disk.read_from(self.read_to, MAX_BYTES);
        let bytes = read.map_err(|why| unusable(self.disk.path(), "read", why))?;
        let before = self.read_to;
        let mut rest = bytes.as_slice();
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at_checked(end + 1).unwrap_or((rest, &[]));
            match Entry::read(line.strip_suffix(b"\n").unwrap_or(line)) {
                Some(entry) => self.entries.push(entry),
                None => self.damaged(),
            }
            self.read_to += line.len() as u64;
            rest = after;
        }
        self.torn = !rest.is_empty();
        Ok(self.read_to != before)
    }

    /// Whether the last write was torn: its entry does not count.
    #[must_use]
    pub const fn is_torn(&self) -> bool {
        self.torn
    }

    /// Takes the lock that one program has at a time, and reads what the others wrote. It is given back when the
    /// guard is dropped.
    ///
    /// # Errors
    /// It cannot be locked or read.
    pub fn alone(&mut self) -> Result<D::Guard, JournalError> {
        let guard = self.disk.lock().map_err(|why| unusable(self.disk.path(), "locked", why))?;
        self.catch_up()?;
        Ok(guard)
    }

    /// Writes an entry, and returns when it is on disk. The caller has the lock.
    ///
    /// # Errors
    /// It is not on disk: what it announces must not be done.
    pub fn append(&mut self, at: u64, by: &Who, event: Event) -> Result<&Entry, JournalError> {
        let seq = self.entries.last().map_or(1, |last| last.seq.saturating_add(1));
        let entry = Entry { seq, at, boot: boot(), by: by.clone(), event };
        let mut line = if self.torn { vec![b'\n'] } else { Vec::new() };
        line.extend(entry.line());
        if line.len() > MAX_LINE {
            return Err(JournalError::TooLong);
        }
        let written = self.disk.append(&line).map_err(|why| unusable(self.disk.path(), "written", why));
        // Also after a failure: some of it may be there.
        let read = self.catch_up();
        written?;
        read?;
        // Found again by its number: what was written is what was read.
        match self.entries.iter().rev().find(|known| known.seq == seq) {
            Some(entry) => Ok(entry),
            None => {
                let why = io::Error::other("what was written is not there");
                Err(unusable(self.disk.path(), "written", why))
            }
        }
    }

    fn damaged(&mut self) {
        self.damage.lines += 1;
        if self.damage.at.len() < MAX_DAMAGE {
            self.damage.at.push(self.read_to);
        }
    }
}

fn memchr(byte: u8, bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|one| *one == byte)
}

fn unusable(path: &Path, doing: &'static str, why: io::Error) -> JournalError {
    JournalError::Disk { path: path.display().to_string(), doing, why }
}

#[cfg(test)]
mod tests;
