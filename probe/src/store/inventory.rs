//! The inventory that outlives a run: an SQLite file in the state folder.
//!
//! `doc/inventory.md` says what stands in its tables.
//!
//! `origin` is the id of the store that observed it, so that merging the same store twice changes nothing. `run` is 0 for
//! everything before the run that writes now; a run writes its own totals again and again, and the next one adds them up. A
//! batch is one transaction in a write-ahead log: a program that is killed loses at most what it had not written yet.
//!
//! One program writes at a time. Names, counts and shapes only: no value, token or body of the wire is ever here.

mod baseline;
mod keeper;
mod kept;
mod restore;
mod sums;
mod together;
mod words;
mod write;

pub use keeper::Keeper;
pub use kept::{Batch, Kept};

use apisec_engine::knowledge::{Past, Remembered};
use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, params};
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use sums::key;
use write::Written;

/// Its file in the state folder.
pub const FILE: &str = "inventory.sqlite";
/// Endpoints that are read back: what the engine can remember.
const MAX_REMEMBERED: u32 = 16_384;
/// Somebody else may be reading or checkpointing for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pages that are copied at once.
const PAGES: i32 = 1_024;
/// What brings a file from one version to the next; the place in the list is the version.
const MIGRATIONS: [&str; 4] = [
    include_str!("inventory/1.sql"),
    include_str!("inventory/2.sql"),
    include_str!("inventory/3.sql"),
    include_str!("inventory/4.sql"),
];

/// Why the inventory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// SQLite says so.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The system says so.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// The process with this id writes it.
    #[error("process {0} writes it")]
    Taken(String),
    /// A newer program made it.
    #[error("its version {0} is newer than this program")]
    Newer(usize),
}

/// An endpoint as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// Callee workload id.
    pub service: String,
    /// Method or operation kind.
    pub method: String,
    /// Typed path.
    pub path: String,
    /// Operation below both.
    pub operation: String,
    /// What was spoken.
    pub protocol: String,
    /// Calls.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// First call, Unix nanoseconds.
    pub first_seen: u64,
    /// Last call, Unix nanoseconds.
    pub last_seen: u64,
}

/// An open inventory.
pub struct Inventory {
    connection: Connection,
    id: String,
    run: i64,
    /// This run's rows as written last.
    written: Written,
    /// Held as long as it is open for writing.
    _lock: Option<File>,
}

impl Inventory {
    /// Opens the inventory of a state folder for writing; it is made when it is not there.
    ///
    /// # Errors
    /// It cannot be opened, or somebody else writes it.
    pub fn write(folder: &Path) -> Result<Self, InventoryError> {
        let lock = super::lock_as(folder, "inventory.lock")?;
        let file = match lock {
            super::Lock::Held(file) => file,
            super::Lock::Taken(by) => return Err(InventoryError::Taken(by)),
        };
        let mut connection = opened(folder)?;
        migrate(&mut connection)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let id = own_id(&connection)?;
        let mut inventory = Self { connection, id, run: 1, written: Written::default(), _lock: Some(file) };
        inventory.add_up()?;
        Ok(inventory)
    }

    /// Opens the inventory of a state folder to look at it; nothing is changed.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, InventoryError> {
        let file = folder.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened =
            Connection::open_with_flags(&file, flags).map_err(InventoryError::from).and_then(Self::looked_at);
        match opened {
            // In a folder that cannot be written, SQLite has no place for what readers share; then nobody writes either.
            Err(InventoryError::Sqlite(error)) if needs_write(&error) => {
                let flags = flags | OpenFlags::SQLITE_OPEN_URI;
                Self::looked_at(Connection::open_with_flags(immutable(&file), flags)?)
            }
            opened => opened,
        }
    }

    fn looked_at(connection: Connection) -> Result<Self, InventoryError> {
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        let connection =
            if version_of(&connection)? < MIGRATIONS.len() { brought_up(&connection)? } else { connection };
        let id = connection.query_row("SELECT id FROM store", [], |row| row.get(0))?;
        Ok(Self { connection, id, run: 0, written: Written::default(), _lock: None })
    }

    /// What earlier runs observed, the newest first.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn remembered(&self) -> Result<Vec<Remembered>, InventoryError> {
        let mut query = self.connection.prepare(include_str!("inventory/remembered.sql"))?;
        let rows = query.query_map([MAX_REMEMBERED], |row| {
            let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
            let past = Past { first: number(6)?, last: number(7)?, calls: number(8)?, accepted: row.get(9)? };
            Ok(key(row)?.map(|key| Remembered { key, past }))
        })?;
        let mut all = Vec::new();
        for row in rows {
            all.extend(row?);
        }
        Ok(all)
    }

    /// Everything that is known, by service and path.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, InventoryError> {
        let mut query = self.connection.prepare(include_str!("inventory/list.sql"))?;
        let number = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let rows = query.query_map([], |row| {
            Ok(Listed {
                service: row.get(0)?,
                method: row.get(1)?,
                path: row.get(2)?,
                operation: row.get(3)?,
                protocol: row.get(4)?,
                calls: number(row, 5)?,
                errors: number(row, 6)?,
                first_seen: number(row, 7)?,
                last_seen: number(row, 8)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets endpoints whose last call was before `at`; how many.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn prune(&mut self, at: u64) -> Result<usize, InventoryError> {
        let change = self.connection.transaction()?;
        let gone = change.execute("DELETE FROM endpoint WHERE last_seen < ?1", params![at.cast_signed()])?;
        change.execute("DELETE FROM edge WHERE last_seen < ?1", params![at.cast_signed()])?;
        change.commit()?;
        Ok(gone)
    }
}

/// The file, as it is written: a write-ahead log that is on disk before it is believed.
fn opened(folder: &Path) -> Result<Connection, InventoryError> {
    let connection = Connection::open(folder.join(FILE))?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

/// A reader would have to make a file.
fn needs_write(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    error.sqlite_error_code().is_some_and(|code| matches!(code, CannotOpen | ReadOnly))
}

/// A file that SQLite may take for unchanging.
fn immutable(file: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in file.to_string_lossy().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => uri.push(char::from(byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri + "?immutable=1"
}

/// The version of a file, as far as this program knows it.
fn version_of(connection: &Connection) -> Result<usize, InventoryError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > MIGRATIONS.len() { Err(InventoryError::Newer(version)) } else { Ok(version) }
}

/// A copy in memory of what an older program made, in the form of today; the file stays as it is.
fn brought_up(older: &Connection) -> Result<Connection, InventoryError> {
    let mut copy = Connection::open_in_memory()?;
    Backup::new(older, &mut copy)?.run_to_completion(PAGES, Duration::ZERO, None)?;
    migrate(&mut copy)?;
    Ok(copy)
}

fn migrate(connection: &mut Connection) -> Result<(), InventoryError> {
    let version = version_of(connection)?;
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let change = connection.transaction()?;
        change.execute_batch(migration)?;
        change.pragma_update(None, "user_version", number as i64 + 1)?;
        change.commit()?;
    }
    Ok(())
}

/// The id of this store, made by SQLite when it is new.
fn own_id(connection: &Connection) -> Result<String, InventoryError> {
    connection.execute(
        "INSERT INTO store (id) SELECT lower(hex(randomblob(16))) WHERE NOT EXISTS (SELECT 1 FROM store)",
        [],
    )?;
    Ok(connection.query_row("SELECT id FROM store", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests;
