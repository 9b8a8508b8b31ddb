//! The inventory that outlives a run: an SQLite file in the state folder.
//!
//! | table | one row is |
//! | --- | --- |
//! | `store` | this store: its random id |
//! | `endpoint` | an operation of a service, with its first and last call (Unix nanoseconds) and its counts |
//! | `fact` | something seen of it: `kind` is `status`, `caller`, `auth`, `host`, `query`, `request-type` or `response-type` |
//!
//! `origin` is the id of the store that observed it, so that merging the same store twice changes nothing. `run` is 0 for
//! everything before the run that writes now; a run writes its own totals again and again, and the next one adds them up. A
//! batch is one transaction in a write-ahead log: a program that is killed loses at most what it had not written yet.
//!
//! One program writes at a time. Names and counts only: no value, token or body of the wire is ever here.

mod keeper;
mod restore;

pub use keeper::Keeper;

use apisec_engine::drift::state::Evidence;
use apisec_engine::endpoint::{EndpointKey, EndpointStats};
use apisec_engine::knowledge::{Past, Remembered};
use apisec_engine::vocabulary;
use apisec_proto::call::Vantage;
use rusqlite::{Connection, OpenFlags, Transaction, params};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// Its file in the state folder.
pub const FILE: &str = "inventory.sqlite";
/// Endpoints that are read back: what the engine can remember.
const MAX_REMEMBERED: u32 = 16_384;
/// Somebody else may be reading or checkpointing for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// What brings a file from one version to the next; the place in the list is the version.
const MIGRATIONS: [&str; 1] = [include_str!("inventory/1.sql")];

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

/// An endpoint of one run, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Which.
    pub key: EndpointKey,
    /// First and last call, calls, whether some were accepted.
    pub past: Past,
    /// Calls that failed.
    pub errors: u64,
    /// Calls without an answer.
    pub unanswered: u64,
    /// Kind, value, calls.
    pub facts: Vec<(&'static str, String, u64)>,
}

impl Kept {
    /// What is kept of an endpoint.
    #[must_use]
    pub fn of(key: &EndpointKey, stats: &EndpointStats) -> Self {
        let load = &stats.load;
        let mut facts: Vec<(&'static str, String, u64)> = Vec::new();
        facts.extend(stats.statuses.iter().map(|(status, calls)| ("status", status.to_string(), calls)));
        facts.extend(stats.callers.by_calls().iter().map(|(id, calls)| ("caller", id.to_string(), *calls)));
        let schemes = vocabulary::AUTH_SCHEMES.iter().filter(|(scheme, _)| stats.auth.contains(*scheme));
        facts.extend(schemes.map(|(_, word)| ("auth", (*word).to_owned(), 0)));
        let names = [
            ("host", stats.hosts.names()),
            ("query", stats.query.names()),
            ("request-type", stats.request_types.names()),
            ("response-type", stats.response_types.names()),
        ];
        for (kind, names) in names {
            facts.extend(names.iter().map(|name| (kind, name.to_string(), 0)));
        }
        let past = Past {
            first: if load.calls == 0 { 0 } else { load.first },
            last: load.last,
            calls: load.calls,
            accepted: Evidence::of(stats).accepted,
        };
        Self { key: key.clone(), past, errors: load.errors, unanswered: load.unanswered, facts }
    }
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
    /// Calls of this run's endpoints as written last.
    written: HashMap<EndpointKey, u64>,
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
        let mut connection = Connection::open(folder.join(FILE))?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        migrate(&mut connection)?;
        let id = own_id(&connection)?;
        let mut inventory = Self { connection, id, run: 1, written: HashMap::new(), _lock: Some(file) };
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
        version_of(&connection)?;
        let id = connection.query_row("SELECT id FROM store", [], |row| row.get(0))?;
        Ok(Self { connection, id, run: 0, written: HashMap::new(), _lock: None })
    }

    /// The runs before this one become one.
    fn add_up(&mut self) -> Result<(), InventoryError> {
        let change = self.connection.transaction()?;
        change.execute_batch(include_str!("inventory/add_up.sql"))?;
        change.commit()?;
        Ok(())
    }

    /// Writes the endpoints of this run, all of them each time; what has not changed costs nothing.
    ///
    /// # Errors
    /// The disk is full, or fails; nothing of the batch is written then, and the next one has it again.
    pub fn keep(&mut self, endpoints: &[Kept]) -> Result<(), InventoryError> {
        let change = self.connection.transaction()?;
        let mut now: HashMap<EndpointKey, u64> = HashMap::with_capacity(endpoints.len());
        for kept in endpoints {
            now.insert(kept.key.clone(), kept.past.calls);
            if self.written.get(&kept.key) != Some(&kept.past.calls) {
                remove(&change, &self.id, self.run, &kept.key)?;
                insert(&change, &self.id, self.run, kept)?;
            }
        }
        // Endpoints that were folded into others, or whose service has another name by now.
        for gone in self.written.keys().filter(|key| !now.contains_key(*key)) {
            remove(&change, &self.id, self.run, gone)?;
        }
        change.commit()?;
        self.written = now;
        Ok(())
    }

    /// What earlier runs observed, the newest first.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn remembered(&self) -> Result<Vec<Remembered>, InventoryError> {
        let mut query = self.connection.prepare(include_str!("inventory/remembered.sql"))?;
        let rows = query.query_map([MAX_REMEMBERED], |row| {
            let text = |at: usize| row.get::<_, String>(at);
            let (service, path, method) = (text(0)?, text(3)?, text(4)?);
            let protocol = text(1)?;
            let vantage = if text(2)? == "client" { Vantage::Client } else { Vantage::Server };
            let protocol = vocabulary::PROTOCOLS.iter().find(|(_, word)| *word == protocol);
            let past = Past {
                first: row.get::<_, i64>(6)?.cast_unsigned(),
                last: row.get::<_, i64>(7)?.cast_unsigned(),
                calls: row.get::<_, i64>(8)?.cast_unsigned(),
                accepted: row.get(9)?,
            };
            let operation = text(5)?;
            Ok(protocol.map(|(protocol, _)| Remembered {
                key: EndpointKey {
                    service: service.into(),
                    path: path.into(),
                    method: method.into(),
                    operation: operation.into(),
                    protocol: *protocol,
                    vantage,
                },
                past,
            }))
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
        change.execute_batch(include_str!("inventory/sweep.sql"))?;
        change.commit()?;
        Ok(gone)
    }

    /// Takes what another store observed; what was taken from it before is replaced. How many endpoints.
    ///
    /// # Errors
    /// It cannot be read, or this one cannot be written.
    pub fn merge(&mut self, other: &Path) -> Result<usize, InventoryError> {
        // Opened on its own first, so that a missing or newer file is said and none is made.
        drop(Self::read(other)?);
        let file = other.join(FILE);
        self.connection.execute("ATTACH DATABASE ?1 AS other", params![file.to_string_lossy()])?;
        let merged = self.take_other();
        self.connection.execute("DETACH DATABASE other", [])?;
        merged
    }

    fn take_other(&mut self) -> Result<usize, InventoryError> {
        let change = self.connection.transaction()?;
        let foreign = "SELECT DISTINCT origin FROM other.endpoint WHERE origin <> ?1";
        for table in ["endpoint", "fact"] {
            change.execute(
                &format!("DELETE FROM main.{table} WHERE origin IN ({foreign})"),
                params![self.id],
            )?;
        }
        let taken = change.execute(
            "INSERT INTO main.endpoint SELECT * FROM other.endpoint WHERE origin <> ?1",
            params![self.id],
        )?;
        change
            .execute("INSERT INTO main.fact SELECT * FROM other.fact WHERE origin <> ?1", params![self.id])?;
        change.commit()?;
        self.add_up()?;
        Ok(taken)
    }
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

const KEY: &str = "origin = ?1 AND run = ?2 AND service = ?3 AND protocol = ?4 AND vantage = ?5 AND path = ?6 \
                   AND method = ?7 AND operation = ?8";

fn remove(change: &Transaction<'_>, id: &str, run: i64, key: &EndpointKey) -> rusqlite::Result<()> {
    for table in ["endpoint", "fact"] {
        let mut statement = change.prepare_cached(&format!("DELETE FROM {table} WHERE {KEY}"))?;
        statement.execute(params![
            id,
            run,
            &*key.service,
            vocabulary::protocol(key.protocol),
            vocabulary::vantage(key.vantage),
            &*key.path,
            key.method.as_str(),
            key.operation.as_str()
        ])?;
    }
    Ok(())
}

fn insert(change: &Transaction<'_>, id: &str, run: i64, kept: &Kept) -> rusqlite::Result<()> {
    let Kept { key, past, errors, unanswered, facts } = kept;
    let (protocol, vantage) = (vocabulary::protocol(key.protocol), vocabulary::vantage(key.vantage));
    let mut statement = change.prepare_cached(
        "INSERT INTO endpoint VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    statement.execute(params![
        id,
        run,
        &*key.service,
        protocol,
        vantage,
        &*key.path,
        key.method.as_str(),
        key.operation.as_str(),
        past.first.cast_signed(),
        past.last.cast_signed(),
        past.calls.cast_signed(),
        errors.cast_signed(),
        unanswered.cast_signed(),
        past.accepted
    ])?;
    let mut statement = change
        .prepare_cached("INSERT OR IGNORE INTO fact VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?;
    for (kind, value, calls) in facts {
        statement.execute(params![
            id,
            run,
            &*key.service,
            protocol,
            vantage,
            &*key.path,
            key.method.as_str(),
            key.operation.as_str(),
            kind,
            value,
            calls.cast_signed()
        ])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
