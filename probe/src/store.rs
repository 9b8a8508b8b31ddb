//! The state folder: the key of this installation and the operator's templating rules.
//!
//! One program writes to it at a time; a second one reads it and says that its changes are not kept.
//! Nothing that was on the wire is ever written here.

use apisec_engine::command::{Command, TemplateRule};
use apisec_engine::degradation::{Degradation, Severity};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Bytes of the key with which identities are hashed.
const KEY_BYTES: usize = 32;
/// Largest rules file that is read: some ten thousand rules, more than anybody types.
const MAX_RULES_BYTES: u64 = 1 << 20;
/// Most rules kept; keeps the file below [`MAX_RULES_BYTES`].
const MAX_RULES: usize = 4_096;
/// Bytes of the lock file that are read: a process id.
const MAX_LOCK_BYTES: u64 = 20;

const KEY_FILE: &str = "identity.key";
const RULES_FILE: &str = "rules.json";
const LOCK_FILE: &str = "lock";

/// What is kept between runs, or in memory only when there is nowhere to keep it.
pub struct Store {
    /// Where changes are written; `None` when they are not.
    folder: Option<PathBuf>,
    key: [u8; KEY_BYTES],
    rules: Vec<TemplateRule>,
    degradations: Vec<Degradation>,
    /// Held as long as the store; the kernel releases it with the process.
    _lock: Option<File>,
}

/// The rules file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    version: u32,
    rules: Vec<TemplateRule>,
}

impl Store {
    /// A store that lives as long as the program.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn in_memory() -> io::Result<Self> {
        Ok(Self {
            folder: None,
            key: random_key()?,
            rules: Vec::new(),
            degradations: Vec::new(),
            _lock: None,
        })
    }

    /// The store in `folder`, which is created. What cannot be read or written is a degradation, not an error.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut store = Self::in_memory()?;
        match lock(folder) {
            Ok(Lock::Held(file)) => {
                store._lock = Some(file);
                store.folder = Some(folder.to_owned());
            }
            Ok(Lock::Taken(by)) => store.degradations.push(second_instance(folder, &by)),
            Err(error) => store.degradations.push(not_writable(folder, &error)),
        }
        store.read_rules(folder);
        store.read_or_keep_key(folder);
        Ok(store)
    }

    /// The key with which identities are hashed.
    #[must_use]
    pub const fn key(&self) -> [u8; KEY_BYTES] {
        self.key
    }

    /// The operator's rules, oldest first.
    #[must_use]
    pub fn rules(&self) -> &[TemplateRule] {
        &self.rules
    }

    /// What could not be read or will not be kept.
    #[must_use]
    pub fn degradations(&self) -> &[Degradation] {
        &self.degradations
    }

    /// Whether changes outlive the program.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.folder.is_some()
    }

    /// Remembers a command of the operator.
    ///
    /// # Errors
    /// The rules could not be written; they hold in memory.
    pub fn remember(&mut self, command: &Command) -> io::Result<()> {
        match command {
            Command::Add(_) if self.rules.len() >= MAX_RULES => {
                return Err(io::Error::other(format!("{MAX_RULES} rules are kept at most; undo some")));
            }
            Command::Add(rule) => self.rules.push(rule.clone()),
            Command::UndoRule => drop(self.rules.pop()),
        }
        let Some(folder) = &self.folder else { return Ok(()) };
        let file = RulesFile { version: 1, rules: self.rules.clone() };
        write_whole(&folder.join(RULES_FILE), &serde_json::to_vec_pretty(&file)?)
    }

    fn read_rules(&mut self, folder: &Path) {
        let path = folder.join(RULES_FILE);
        match read_capped(&path, MAX_RULES_BYTES)
            .and_then(|bytes| Ok(serde_json::from_slice::<RulesFile>(&bytes)?))
        {
            Ok(file) if file.version == 1 => self.rules = file.rules,
            Ok(file) => self.unread(&path, &format!("version {} is newer than this program", file.version)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unread(&path, &error.to_string()),
        }
    }

    /// A rules file that was not understood is never overwritten.
    fn unread(&mut self, path: &Path, why: &str) {
        self.folder = None;
        self.degradations.push(Degradation {
            code: "rules-unread".into(),
            severity: Severity::Notice,
            what: format!(
                "templating rules in {} could not be read ({why}) and are not applied",
                path.display()
            ),
            remedy: "repair or remove the file; it will not be overwritten".into(),
        });
    }

    fn read_or_keep_key(&mut self, folder: &Path) {
        let path = folder.join(KEY_FILE);
        match read_capped(&path, KEY_BYTES as u64 + 1).map(<[u8; KEY_BYTES]>::try_from) {
            Ok(Ok(key)) => self.key = key,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.folder.is_some() => {
                if let Err(error) = write_whole(&path, &self.key) {
                    self.degradations.push(not_writable(folder, &error));
                }
            }
            Ok(Err(_)) => self.strange_key(&path, "it is not 32 bytes long"),
            // An absent key in a folder that cannot be written has been reported with the folder.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.strange_key(&path, &error.to_string()),
        }
    }

    fn strange_key(&mut self, path: &Path, why: &str) {
        self.degradations.push(Degradation {
            code: "key-unread".into(),
            severity: Severity::Notice,
            what: format!(
                "the key in {} cannot be used ({why}): identities hash differently in this run",
                path.display()
            ),
            remedy: "make the file readable, or remove it to get a new key".into(),
        });
    }
}

enum Lock {
    Held(File),
    /// By the process with this id, as it wrote.
    Taken(String),
}

fn lock(folder: &Path) -> io::Result<Lock> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(open(folder.join(LOCK_FILE), flags, Mode::RUSR | Mode::WUSR)?);
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            Ok(Lock::Held(file))
        }
        Err(Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            file.take(MAX_LOCK_BYTES).read_to_string(&mut holder)?;
            Ok(Lock::Taken(holder.chars().filter(char::is_ascii_digit).collect()))
        }
        Err(error) => Err(error.into()),
    }
}

fn second_instance(folder: &Path, by: &str) -> Degradation {
    Degradation {
        code: "second-instance".into(),
        severity: Severity::Notice,
        what: format!(
            "another apisec-top (process {by}) uses {}: its rules are read, changes made here are not kept",
            folder.display()
        ),
        remedy: "end the other one, or give this one its own folder with --state DIR".into(),
    }
}

fn not_writable(folder: &Path, error: &io::Error) -> Degradation {
    Degradation {
        code: "state-not-kept".into(),
        severity: Severity::Notice,
        what: format!(
            "the state folder {} cannot be written ({error}): nothing is kept after this run",
            folder.display()
        ),
        remedy: "give a folder that can be written with --state DIR, or say --no-state".into(),
    }
}

fn random_key() -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}

fn read_capped(path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    let file = File::from(open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
    let mut bytes = Vec::new();
    file.take(cap).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces the file as a whole: after a crash it holds the old bytes or the new ones.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(open(&draft, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn merge(path: &str) -> Command {
        Command::Add(TemplateRule::Merge { service: "process:nginx:80".into(), path: path.into() })
    }

    #[test]
    fn key_and_rules_outlive_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        let mut first = Store::open(&state).unwrap();
        first.remember(&merge("/a")).unwrap();
        first.remember(&merge("/b")).unwrap();
        first.remember(&Command::UndoRule).unwrap();
        let key = first.key();
        drop(first);
        let second = Store::open(&state).unwrap();
        assert_eq!((second.key(), second.rules().len()), (key, 1));
        assert!(second.degradations().is_empty());
    }

    #[test]
    fn only_the_owner_may_read_the_key() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(&folder.path().join("state")).unwrap());
        let mode = fs::metadata(folder.path().join("state/identity.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_second_instance_reads_and_does_not_write() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Store::open(folder.path()).unwrap();
        first.remember(&merge("/a")).unwrap();
        let mut second = Store::open(folder.path()).unwrap();
        assert_eq!((second.key(), second.rules().len()), (first.key(), 1));
        let degradation = second.degradations()[0].clone();
        assert_eq!(degradation.code, "second-instance");
        assert!(degradation.what.contains(&std::process::id().to_string()));
        second.remember(&merge("/b")).unwrap();
        drop((first, second));
        assert_eq!(Store::open(folder.path()).unwrap().rules().len(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let store = Store::open(&file.join("state")).unwrap();
        assert!(!store.is_kept());
        assert_eq!(store.degradations()[0].code, "state-not-kept");
    }

    #[test]
    fn strange_rules_are_reported_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join(RULES_FILE);
        fs::write(&rules, "{\"version\":2,\"rules\":[]}").unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        assert_eq!(store.degradations()[0].code, "rules-unread");
        store.remember(&merge("/a")).unwrap();
        assert_eq!(fs::read_to_string(rules).unwrap(), "{\"version\":2,\"rules\":[]}");
    }

    #[test]
    fn a_short_key_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(KEY_FILE), "short").unwrap();
        assert_eq!(Store::open(folder.path()).unwrap().degradations()[0].code, "key-unread");
    }
}
