//! Reads specifications again when they change.
//!
//! Looks at modification times every other second: works on every file system, and costs a `stat` per file. Asks addresses
//! every minute. One that does not answer any more is a problem, and what it said last goes on to count.

use super::{Loaded, Request, Where, address, load};
use apisec_engine::drift::Given;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// How often is looked.
const EVERY: Duration = Duration::from_secs(2);
/// Looks between two questions to an address.
const LOOKS: u32 = 30;

/// Looks until it is dropped.
pub struct Watch {
    stop: Option<Sender<()>>,
    /// Waited for; without it where addresses are asked, because one that is slow to answer keeps nobody waiting.
    thread: Option<JoinHandle<()>>,
}

/// Calls `changed` with what was read anew whenever something of these requests changes, comes or goes.
///
/// # Errors
/// The system gives us no thread.
pub fn watch(
    requests: Vec<Request>,
    loaded: &Loaded,
    changed: impl Fn(Loaded) + Send + 'static,
) -> std::io::Result<Watch> {
    let (stop, told) = channel();
    let mut known = Known::of(&requests, loaded);
    let body = move || {
        let mut looks = 0;
        while told.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            looks += 1;
            let asks = looks % LOOKS == 0;
            if let Some(loaded) = known.look(&requests, asks) {
                changed(loaded);
            }
        }
    };
    let thread = std::thread::Builder::new().name("apisec-specs".into()).spawn(body)?;
    Ok(Watch { stop: Some(stop), thread: Some(thread).filter(|_| loaded.addresses.is_empty()) })
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

type Stamps = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// What was read last.
pub(super) struct Known {
    files: Stamps,
    addresses: BTreeMap<String, Option<u64>>,
    /// What the addresses said, by what they are shown as.
    fetched: BTreeMap<String, Given>,
}

impl Known {
    pub(super) fn of(requests: &[Request], loaded: &Loaded) -> Self {
        let files = loaded.files.iter().cloned().chain(folders(requests));
        let mut known = Self {
            files: files.map(|path| (path.clone(), stamp(&path))).collect(),
            addresses: loaded.addresses.clone(),
            fetched: BTreeMap::new(),
        };
        known.remember(loaded);
        known
    }

    /// Everything anew, when something has changed. Addresses are asked when it is time.
    pub(super) fn look(&mut self, requests: &[Request], asks: bool) -> Option<Loaded> {
        let files = self.files.keys().cloned().chain(folders(requests));
        let files: Stamps = files.map(|path| (path.clone(), stamp(&path))).collect();
        let is_new = |(own, known): (&String, &Option<u64>)| address::look(own) != *known;
        if files == self.files && !(asks && self.addresses.iter().any(is_new)) {
            return None;
        }
        let mut loaded = load(requests);
        let mut now = Self::of(requests, &loaded);
        for own in self.addresses.keys().map(|own| address::shown(own)) {
            let silent =
                loaded.specs.iter_mut().find(|given| given.spec.file == own && given.spec.format.is_empty());
            let Some((silent, last)) = silent.zip(self.fetched.remove(own)) else { continue };
            let mut spec = (*last.spec).clone();
            spec.problems.extend(silent.spec.problems.iter().cloned());
            *silent = Given { spec: Arc::new(spec), ..last.clone() };
            now.fetched.insert(own.to_owned(), last);
        }
        *self = now;
        Some(loaded)
    }

    /// What addresses answered that could be understood.
    fn remember(&mut self, loaded: &Loaded) {
        let addresses = self.addresses.iter().filter(|(_, answer)| answer.is_some());
        let given = |shown: &str| loaded.specs.iter().find(|given| given.spec.file == shown).cloned();
        let shown = addresses.map(|(own, _)| address::shown(own));
        self.fetched = shown.filter_map(|shown| Some((shown.to_owned(), given(shown)?))).collect();
    }
}

fn folders(requests: &[Request]) -> impl Iterator<Item = PathBuf> + '_ {
    requests.iter().filter_map(|request| match &request.place {
        Where::Disk(path) => Some(path.clone()),
        Where::Web(_) => None,
    })
}

fn stamp(path: &PathBuf) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
