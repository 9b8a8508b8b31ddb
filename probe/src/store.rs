//! The state folder: the key of this installation and the operator's templating rules.
//!
//! One program may change the rules at a time; a second one reads them and says that its changes are not kept.
//! Nothing that was on the wire is ever written here.

pub mod audit;
pub mod bindings;
pub mod docket;
pub mod handover;
pub mod inventory;
pub mod working;

use apisec_engine::command::TemplateRule;
use apisec_engine::degradation::{Degradation, Severity};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Bytes of the key with which identities are hashed.
const KEY_BYTES: usize = 32;
/// Largest rules file that is read: some ten thousand rules, more than anybody types.
const MAX_RULES_BYTES: u64 = 1 << 20;
/// Most rules kept; keeps the file below [`MAX_RULES_BYTES`].
const MAX_RULES: usize = 4_096;
/// Bytes of the lock file that are read: a process id.
const MAX_LOCK_BYTES: u64 = 20;
/// How often a lock is asked for before it counts as another's, and the pause between.
const LOCK_TRIES: usize = 8;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

const KEY_FILE: &str = "identity.key";
const RULES_FILE: &str = "rules.json";
const LOCK_FILE: &str = "lock";

/// What somebody who opens the store wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// What is there, as it is: nothing is made, not even the folder or a key.
    Look,
    /// The key and the rules as they are.
    Read,
    /// Also to change the rules, which one program may do at a time.
    Change,
}

/// What is kept between runs, or in memory only when there is nowhere to keep it.
pub struct Store {
    /// Where changed rules are written; `None` when they are not.
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
    pub fn open(folder: &Path, access: Access) -> io::Result<Self> {
        let mut store = Self::in_memory()?;
        match access {
            Access::Look => store.read_key(folder),
            Access::Read | Access::Change => match create(folder) {
                Ok(()) => store.read_or_keep_key(folder),
                Err(error) => store.degradations.push(not_writable(folder, &error)),
            },
        }
        if access == Access::Change && store.degradations.is_empty() {
            store.lock(folder);
        }
        store.read_rules(folder);
        Ok(store)
    }

    fn lock(&mut self, folder: &Path) {
        match lock_as(folder, LOCK_FILE) {
            Ok(Lock::Held(file)) => {
                self._lock = Some(file);
                self.folder = Some(folder.to_owned());
            }
            Ok(Lock::Taken(by)) => self.degradations.push(second_instance(folder, &by)),
            Err(error) => self.degradations.push(not_writable(folder, &error)),
        }
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

    /// Whether changed rules outlive the program.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.folder.is_some()
    }

    /// Replaces the rules that are kept.
    ///
    /// # Errors
    /// There are too many, or they could not be written.
    pub fn keep(&mut self, rules: &[TemplateRule]) -> io::Result<()> {
        if rules.len() > MAX_RULES {
            return Err(io::Error::other(format!("{MAX_RULES} rules are kept at most; undo some")));
        }
        self.rules = rules.to_vec();
        let Some(folder) = &self.folder else { return Ok(()) };
        let file = RulesFile { version: 1, rules: rules.to_vec() };
        replace(&folder.join(RULES_FILE), &file)
    }

    fn read_rules(&mut self, folder: &Path) {
        let path = folder.join(RULES_FILE);
        match read_capped(&path, MAX_RULES_BYTES)
            .and_then(|bytes| Ok(serde_json::from_slice::<RulesFile>(&bytes)?))
        {
            Ok(file) if file.version == 1 => self.rules = file.rules,
            Ok(file) => self.unread(&path, &format!("version {} is newer than this program", file.version)),
            // A folder that is not there, or is none, has been reported.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
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

    /// Without one, identities hash differently in this run, which matters to nobody who only looks.
    fn read_key(&mut self, folder: &Path) {
        let read = read_capped(&folder.join(KEY_FILE), KEY_BYTES as u64 + 1);
        if let Some(Ok(key)) = read.ok().map(<[u8; KEY_BYTES]>::try_from) {
            self.key = key;
        }
    }

    fn read_or_keep_key(&mut self, folder: &Path) {
        let path = folder.join(KEY_FILE);
        match read_or_plant(&path, &self.key).map(<[u8; KEY_BYTES]>::try_from) {
            Ok(Ok(key)) => self.key = key,
            Ok(Err(_)) => self.strange_key(&path, "it is not 32 bytes long"),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.strange_key(&path, &error.to_string());
            }
            Err(error) => self.degradations.push(not_writable(folder, &error)),
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

fn create(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Takes a lock file, which holds our process id then.
fn lock_as(folder: &Path, name: &str) -> io::Result<Lock> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(open(folder.join(name), flags, Mode::RUSR | Mode::WUSR)?);
    match patiently(&file) {
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

/// A program that its last holder was just starting still holds the lock, until it is another program.
#[expect(clippy::disallowed_methods, reason = "a lock can be waited for, but not with a deadline")]
fn patiently(file: &File) -> rustix::io::Result<()> {
    for _ in 0..LOCK_TRIES {
        let outcome = flock(file, FlockOperation::NonBlockingLockExclusive);
        if outcome != Err(Errno::WOULDBLOCK) {
            return outcome;
        }
        thread::sleep(LOCK_PAUSE);
    }
    Err(Errno::WOULDBLOCK)
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

/// The bytes of `path`; if there is no such file, it is made of `bytes`. Whoever comes first wins.
fn read_or_plant(path: &Path, bytes: &[u8]) -> io::Result<Vec<u8>> {
    match read_capped(path, KEY_BYTES as u64 + 1) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let draft = draft(path, bytes)?;
    let planted = fs::hard_link(&draft, path);
    fs::remove_file(draft)?;
    match planted {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => read_capped(path, KEY_BYTES as u64 + 1),
    }
}

/// Replaces a file by `value` as JSON: whoever reads it meets the old one or the new one, whole.
fn replace(path: &Path, value: &impl Serialize) -> io::Result<()> {
    fs::rename(draft(path, &serde_json::to_vec_pretty(value)?)?, path)?;
    // The new name is only kept for certain when its folder is.
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// A file with `bytes`, safe on disk, to be moved to `path` as a whole. Threads of one program write different files at once.
fn draft(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".draft.{}", std::process::id()));
    let path = PathBuf::from(draft);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(open(&path, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn merge(path: &str) -> TemplateRule {
        TemplateRule::Merge { service: "process:nginx:80".into(), path: path.into() }
    }

    fn open(folder: &Path) -> Store {
        Store::open(folder, Access::Change).unwrap()
    }

    #[test]
    fn key_and_rules_outlive_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        let mut first = open(&state);
        first.keep(&[merge("/a"), merge("/b")]).unwrap();
        first.keep(&[merge("/a")]).unwrap();
        let key = first.key();
        drop(first);
        let second = open(&state);
        assert_eq!((second.key(), second.rules()), (key, &[merge("/a")][..]));
        assert!(second.degradations().is_empty());
        let mut files: Vec<_> = fs::read_dir(state).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, [KEY_FILE, LOCK_FILE, RULES_FILE]);
    }

    #[test]
    fn only_the_owner_may_read_the_key() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&folder.path().join("state")));
        let mode = fs::metadata(folder.path().join("state/identity.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_second_instance_reads_and_does_not_write() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = open(folder.path());
        first.keep(&[merge("/a")]).unwrap();
        let mut second = open(folder.path());
        assert_eq!((second.key(), second.rules().len()), (first.key(), 1));
        let degradation = second.degradations()[0].clone();
        assert_eq!(degradation.code, "second-instance");
        assert!(degradation.what.contains(&std::process::id().to_string()));
        second.keep(&[]).unwrap();
        drop((first, second));
        assert_eq!(open(folder.path()).rules().len(), 1);
    }

    #[test]
    fn reading_disturbs_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path());
        let reader = Store::open(folder.path(), Access::Read).unwrap();
        assert!(reader.degradations().is_empty() && !reader.is_kept());
        assert_eq!(reader.key(), first.key());
    }

    #[test]
    fn looking_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("state");
        assert!(Store::open(&missing, Access::Look).unwrap().degradations().is_empty());
        assert!(!missing.exists());
        let mut kept = open(&missing);
        kept.keep(&[merge("/a")]).unwrap();
        let looked = Store::open(&missing, Access::Look).unwrap();
        assert_eq!((looked.key(), looked.rules().len(), looked.is_kept()), (kept.key(), 1, false));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let store = open(&file.join("state"));
        assert!(!store.is_kept());
        let codes: Vec<_> = store.degradations().iter().map(|degradation| &*degradation.code).collect();
        assert_eq!(codes, ["state-not-kept"]);
    }

    #[test]
    fn strange_rules_are_reported_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join(RULES_FILE);
        fs::write(&rules, "{\"version\":2,\"rules\":[]}").unwrap();
        let mut store = open(folder.path());
        assert_eq!(store.degradations()[0].code, "rules-unread");
        store.keep(&[merge("/a")]).unwrap();
        assert_eq!(fs::read_to_string(rules).unwrap(), "{\"version\":2,\"rules\":[]}");
    }

    #[test]
    fn a_short_key_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(KEY_FILE), "short").unwrap();
        assert_eq!(open(folder.path()).degradations()[0].code, "key-unread");
    }
}
