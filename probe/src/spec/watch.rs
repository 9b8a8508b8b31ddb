//! Reads specifications again when their files change.
//!
//! Looks at modification times every other second: works on every file system, and costs a `stat` per file.

use super::{Loaded, Request, load};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// How often is looked.
const EVERY: Duration = Duration::from_secs(2);

/// Looks until it is dropped.
pub struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Calls `changed` with what was read anew whenever a file of these requests changes, comes or goes.
///
/// # Errors
/// The system gives us no thread.
pub fn watch(
    requests: Vec<Request>,
    loaded: &Loaded,
    changed: impl Fn(Loaded) + Send + 'static,
) -> std::io::Result<Watch> {
    let (stop, told) = channel();
    let mut known = stamps(&requests, loaded);
    let body = move || {
        while told.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let now = look(&requests, &known);
            if now != known {
                let loaded = load(&requests);
                known = stamps(&requests, &loaded);
                changed(loaded);
            }
        }
    };
    let thread = std::thread::Builder::new().name("apisec-specs".into()).spawn(body)?;
    Ok(Watch { stop: Some(stop), thread: Some(thread) })
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

fn stamps(requests: &[Request], loaded: &Loaded) -> Stamps {
    let folders = requests.iter().map(|request| request.path.clone());
    loaded.files.iter().cloned().chain(folders).map(|path| (path.clone(), stamp(&path))).collect()
}

fn look(requests: &[Request], known: &Stamps) -> Stamps {
    let folders = requests.iter().map(|request| request.path.clone());
    known.keys().cloned().chain(folders).map(|path| (path.clone(), stamp(&path))).collect()
}

fn stamp(path: &PathBuf) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
