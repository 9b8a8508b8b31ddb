//! Looks for TLS libraries in what runs, on a thread of its own: everything once at the start, then what starts, then
//! everybody again, a few at a time, for libraries that were loaded later.
//!
//! A file is looked into once, whoever maps it. Libraries in the usual folders are found before anybody uses them, so that
//! the first request of a program that starts later is not missed.

use super::image::Image;
use super::library::{self, Cost, Library};
use super::maps::{self, Mapped};
use super::own;
use crate::attach::tls::Plan;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// When a program that has started is looked at: at once, and as it loads more.
const VISITS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(60),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(4),
];
/// Programs that wait to be looked at; those beyond are met on the round.
const MAX_WAITING: usize = 16_384;
/// Processes that the round looks at in a second: at about 100 µs each, well below 1 % of a processor.
const ROUND: usize = 50;
/// How often it does.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// Files that are remembered; a node with more distinct programs looks into some of them again.
const MAX_FILES: usize = 65_536;
/// Where libraries are looked for before anybody has loaded them.
const FOLDERS: [&str; 8] = [
    "/lib64",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/local/lib",
];
/// Names of library files there.
const NAMES: [&str; 2] = ["libssl.so.", "libgnutls.so."];

/// A file on this node, told from what is at the same place later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

impl FileId {
    fn of(about: &Metadata) -> Self {
        Self { device: about.dev(), inode: about.ino(), changed: (about.ctime(), about.ctime_nsec()) }
    }
}

/// The files that a process has mapped and that may hold a TLS library.
pub(super) fn candidates(pid: u32) -> impl Iterator<Item = FileId> {
    let mapped = maps::executables(pid).into_iter().filter(is_candidate);
    mapped.filter_map(move |mapped| Some(FileId::of(&std::fs::metadata(mapped.reach(pid)).ok()?)))
}

/// A file that holds a TLS library.
#[derive(Debug)]
pub struct Holder {
    /// Which file.
    pub id: FileId,
    /// Its path as its first user sees it.
    pub path: PathBuf,
    /// What it holds.
    pub library: Library,
    /// What a hit costs.
    pub cost: Cost,
    /// Where probes belong.
    pub plan: Plan,
}

/// What a process has mapped that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Files with TLS libraries.
    pub files: BTreeSet<FileId>,
    /// It is a Java virtual machine.
    pub java: bool,
}

/// What the thread tells.
#[derive(Debug)]
pub enum Find {
    /// A file with a TLS library, not told before.
    Library(Holder),
    /// A process and what it uses, when that changed.
    Process(u32, User),
    /// Everything that ran at the start was looked at.
    Ready,
}

/// The thread.
pub struct Scanner {
    started: Sender<u32>,
    finds: Receiver<Find>,
}

impl Scanner {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives us no thread.
    pub fn start() -> std::io::Result<Self> {
        let (started, asked) = bounded(MAX_WAITING);
        let (tell, finds) = unbounded();
        let scan = Scan { tell, files: HashMap::new(), processes: HashMap::new(), visits: VecDeque::new() };
        // It ends with the channel, and holds nothing that outlives the process.
        std::thread::Builder::new().name("apisec-tls".into()).spawn(move || scan.run(&asked))?;
        Ok(Self { started, finds })
    }

    /// A program has started.
    pub fn started(&self, pid: u32) {
        // The round will meet it.
        let _later = self.started.try_send(pid);
    }

    /// What was found since.
    #[must_use]
    pub fn find(&self) -> Option<Find> {
        self.finds.try_recv().ok()
    }

    /// What was found, waiting for more until `until` at most.
    #[must_use]
    pub fn find_until(&self, until: Instant) -> Option<Find> {
        self.finds.recv_deadline(until).ok()
    }
}

/// The thread's state.
struct Scan {
    tell: Sender<Find>,
    /// Whether a file holds a TLS library.
    files: HashMap<FileId, bool>,
    processes: HashMap<u32, User>,
    /// When which process is looked at, and for the how manieth time, soonest first.
    visits: VecDeque<(Instant, u32, usize)>,
}

impl Scan {
    fn run(mut self, asked: &Receiver<u32>) {
        self.folders();
        for pid in pids() {
            self.visit(pid);
        }
        let _gone = self.tell.send(Find::Ready);
        let mut round = VecDeque::new();
        let mut next_round = Instant::now() + ROUND_EVERY;
        loop {
            let next = self.visits.front().map_or(next_round, |(due, ..)| (*due).min(next_round));
            match asked.recv_deadline(next) {
                Ok(pid) => self.plan(Instant::now(), pid, 0),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            while let Some((_, pid, times)) = self.visits.pop_front_if(|(due, ..)| *due <= now) {
                self.visit(pid);
                self.plan(now, pid, times + 1);
            }
            if now >= next_round {
                next_round = now + ROUND_EVERY;
                self.walk(&mut round);
            }
        }
    }

    fn plan(&mut self, now: Instant, pid: u32, times: usize) {
        let Some(after) = VISITS.get(times) else { return };
        let before = times.checked_sub(1).and_then(|last| VISITS.get(last)).copied().unwrap_or_default();
        let due = now + after.saturating_sub(before);
        if self.visits.len() < MAX_WAITING {
            let place = self.visits.partition_point(|(other, ..)| *other <= due);
            self.visits.insert(place, (due, pid, times));
        }
    }

    /// Goes on with the round of everybody.
    fn walk(&mut self, round: &mut VecDeque<u32>) {
        if round.is_empty() {
            let all = pids();
            self.processes.retain(|pid, _| all.binary_search(pid).is_ok());
            round.extend(all);
        }
        for _ in 0..ROUND {
            let Some(pid) = round.pop_front() else { return };
            self.visit(pid);
        }
    }

    fn folders(&mut self) {
        for folder in FOLDERS {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            for entry in entries {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if NAMES.iter().any(|known| name.starts_with(known)) {
                    self.file(&entry.path(), &entry.path());
                }
            }
        }
    }

    /// Looks at what a process has mapped.
    fn visit(&mut self, pid: u32) {
        let mapped = maps::executables(pid);
        let java = mapped.iter().any(|mapped| mapped.path.ends_with("libjvm.so"));
        let files = mapped
            .iter()
            .filter(|mapped| is_candidate(mapped))
            .filter_map(|mapped| self.file(&mapped.reach(pid), &mapped.path))
            .collect();
        let user = User { files, java };
        if self.processes.get(&pid).map_or(user == User::default(), |known| *known == user) {
            return;
        }
        self.processes.insert(pid, user.clone());
        let _gone = self.tell.send(Find::Process(pid, user));
    }

    /// Looks into a file, once; its id when it holds a TLS library.
    fn file(&mut self, reach: &Path, path: &Path) -> Option<FileId> {
        let file = File::open(reach).ok()?;
        let about = file.metadata().ok().filter(Metadata::is_file)?;
        let id = FileId::of(&about);
        if let Some(holds) = self.files.get(&id) {
            return holds.then_some(id);
        }
        if self.files.len() >= MAX_FILES {
            self.files.retain(|_, holds| *holds);
        }
        let image = Image::of(file.try_clone().ok()?);
        let found =
            image.parse().filter(|parsed| !own::is_own(parsed)).and_then(|parsed| library::find(&parsed));
        self.files.insert(id, found.is_some());
        let found = found?;
        let holder = Holder {
            id,
            path: path.to_owned(),
            library: found.library,
            cost: found.cost,
            plan: Plan { file, sites: found.sites },
        };
        let _gone = self.tell.send(Find::Library(holder));
        Some(id)
    }
}

/// Libraries that every process has and that hold no TLS.
fn is_candidate(mapped: &Mapped) -> bool {
    const NOT: [&str; 12] = [
        "ld-linux",
        "libc.so",
        "libc-2",
        "libm.so",
        "libpthread",
        "libdl.so",
        "librt.so",
        "libz.so",
        "libstdc++",
        "libgcc_s",
        "libcrypto.so",
        "libselinux",
    ];
    let name = mapped.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    !NOT.iter().any(|not| name.starts_with(not))
}

/// The processes that exist now, in order.
fn pids() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}
