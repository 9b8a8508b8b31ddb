//! Hands metrics to the collectors that others have: Prometheus asks, OpenTelemetry is told.
//!
//! Both look at the newest snapshot on threads of their own and are never waited for. Nothing is kept for a collector
//! that is away: metrics are sums, and the next ones hold what was missed.

mod otlp;
mod prometheus;

use crate::forward::Access;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::export::metrics::Metrics;
use apisec_engine::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::fmt::{Debug, Display, Formatter};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Every kind of collector: one file and one line.
pub const KINDS: &[&Kind] = &[&prometheus::KIND, &otlp::KIND];

/// Starts to serve an address, or says what is wrong with it.
type Start = fn(&str, &Access, Feed) -> io::Result<JoinHandle<()>>;

/// A kind of collector.
#[derive(Debug)]
pub struct Kind {
    /// The word in front of the address.
    pub name: &'static str,
    /// One line for the help.
    pub about: &'static str,
    /// Whether an address can be one.
    check: fn(&str) -> Result<(), String>,
    start: Start,
}

/// One collector, as the operator writes it: `prometheus:127.0.0.1:9464`, `otlp:http://collector:4318`.
#[derive(Clone)]
pub struct Collector {
    kind: &'static Kind,
    address: String,
    access: Access,
}

impl Display for Collector {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind.name, self.address.split(['?', '#']).next().unwrap_or_default())
    }
}

impl Debug for Collector {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        Display::fmt(self, f)
    }
}

impl Collector {
    /// Reads `KIND:ADDRESS`. A collector that is told is shown the token of `token_file`, or of the environment;
    /// `host` names this machine.
    ///
    /// # Errors
    /// There is no such kind, the address is wrong or holds a secret, or a file cannot be read.
    pub fn parse(
        text: &str,
        token_file: Option<&Path>,
        authorities: Option<&Path>,
        host: &str,
    ) -> Result<Self, String> {
        let kinds = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
        let (name, address) = text.split_once(':').unwrap_or((text, ""));
        let kind = KINDS.iter().find(|kind| kind.name == name);
        let kind = kind.ok_or_else(|| format!("`{text}` is not KIND:ADDRESS; there are {}", kinds()))?;
        if address.contains('@') {
            return Err("an address holds no secret: give the token in a file (--send-token-file)".to_owned());
        }
        (kind.check)(address)?;
        Ok(Self { kind, address: address.to_owned(), access: Access::read(token_file, authorities, host)? })
    }
}

/// What the threads look at.
#[derive(Default)]
struct Shared {
    snapshot: Mutex<Arc<Snapshot>>,
    /// What is wrong, by collector.
    troubles: Mutex<BTreeMap<String, String>>,
    over: AtomicBool,
}

/// Where the newest snapshot is, whether it goes on, and where to say what is wrong.
#[derive(Clone)]
struct Feed {
    name: String,
    shared: Arc<Shared>,
}

impl Feed {
    fn metrics(&self) -> Metrics {
        let snapshot = self.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Metrics::of(&snapshot, env!("CARGO_PKG_VERSION"))
    }

    fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::Acquire)
    }

    /// Says what is wrong, or that nothing is any more.
    fn tell(&self, trouble: Option<String>) {
        let mut troubles = self.shared.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(why) => troubles.insert(self.name.clone(), why),
            None => troubles.remove(&self.name),
        };
    }
}

/// All collectors of a run. Dropping it ends them.
pub struct Exporter {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Exporter {
    /// Serves all of these.
    ///
    /// # Errors
    /// With the collector that cannot be served and why: its address is taken, or no thread could be started.
    pub fn start(collectors: &[Collector]) -> Result<Self, (String, io::Error)> {
        let mut made = Self { shared: Arc::default(), threads: Vec::new() };
        for collector in collectors {
            let name = collector.to_string();
            let feed = Feed { name: name.clone(), shared: Arc::clone(&made.shared) };
            let started = (collector.kind.start)(&collector.address, &collector.access, feed);
            made.threads.push(started.map_err(|error| (name, error))?);
        }
        Ok(made)
    }

    /// Hands on what is known now; nobody is waited for.
    pub fn offer(&self, snapshot: &Arc<Snapshot>) {
        *self.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(snapshot);
    }

    /// Which collectors take nothing, and why.
    #[must_use]
    pub fn troubles(&self) -> Vec<Degradation> {
        let troubles = self.shared.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let degradation = |(name, why): (&String, &String)| Degradation {
            code: "metrics-not-taken".into(),
            severity: Severity::Notice,
            what: format!("{name} takes no metrics: {why}"),
            remedy: "see whether it runs and is reached; what was counted meanwhile is in the next ones"
                .into(),
        };
        troubles.iter().map(degradation).collect()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            let _panicked = thread.join();
        }
    }
}
