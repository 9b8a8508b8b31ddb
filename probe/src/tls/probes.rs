//! The files that are probed, and how that went.

use super::library::{Cost, Library};
use super::scan::{FileId, Find, Holder, Scanner, User, candidates};
use crate::attach::tls::Links;
use crate::attach::{Prober, rights};
use crate::source::TlsUse;
use apisec_engine::degradation::{Degradation, Severity};
use compact_str::{CompactString, format_compact};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Files that are probed at most: each costs some descriptors.
const MAX_PROBED: usize = 512;
/// The start waits so long for the first look at everything.
const START_PATIENCE: Duration = Duration::from_millis(1500);
/// Refusals that are told by name.
const TOLD: usize = 3;

/// Why connections of a process whose library is probed may be opaque.
const OTHERWISE: &str = "its library is probed, but these went another way: TLS of the kernel (kTLS), SSL_sendfile, \
    another library inside the program, or a connection that was silent since we came";

/// A file with a TLS library.
#[derive(Debug)]
pub struct Probed {
    /// Its path as its first user sees it.
    pub path: PathBuf,
    /// What it holds.
    pub library: Library,
    /// What a hit costs its users.
    pub cost: Cost,
    /// The probes; `None` when they were refused.
    links: Option<Links>,
}

/// See the module.
pub struct Probes {
    scanner: Option<Scanner>,
    /// What ran at the start was looked at.
    looked: bool,
    files: HashMap<FileId, Probed>,
    users: HashMap<u32, User>,
    refused: Vec<String>,
    refusals: u64,
}

impl Probes {
    /// Starts to look for libraries.
    #[must_use]
    pub fn start() -> Self {
        let mut probes = Self {
            scanner: None,
            looked: false,
            files: HashMap::new(),
            users: HashMap::new(),
            refused: Vec::new(),
            refusals: 0,
        };
        match Scanner::start() {
            Ok(scanner) => probes.scanner = Some(scanner),
            Err(error) => probes.refuse(format!("no thread could be started to look for libraries: {error}")),
        }
        probes
    }

    /// Probes what runs now, waiting for the search to end, within reason.
    pub fn first(&mut self, prober: &mut Prober<'_>) {
        let until = Instant::now() + START_PATIENCE;
        while !self.has_looked()
            && let Some(find) = self.scanner.as_ref().and_then(|scanner| scanner.find_until(until))
        {
            self.take(find, prober);
        }
    }

    /// A program has started.
    pub fn started(&self, pid: u32) {
        if let Some(scanner) = &self.scanner {
            scanner.started(pid);
        }
    }

    /// A process has ended.
    pub fn ended(&mut self, pid: u32) {
        self.users.remove(&pid);
    }

    /// Probes what was found since.
    pub fn go_on(&mut self, prober: &mut Prober<'_>) {
        while let Some(find) = self.scanner.as_ref().and_then(Scanner::find) {
            self.take(find, prober);
        }
    }

    /// Takes all probes out.
    pub fn release(&mut self, prober: &mut Prober<'_>) {
        prober.release(self.files.values_mut().filter_map(|file| file.links.take()));
    }

    /// The TLS library of a process, as it is printed; empty when it is not known. One that speaks before the round
    /// has come by is looked at here.
    #[must_use]
    pub fn library_of(&self, pid: u32) -> CompactString {
        match self.users.get(&pid) {
            Some(user) => self.names(user.files.iter().copied()),
            None => self.names(candidates(pid)),
        }
    }

    /// The libraries in these files: of several it is not known which was used.
    fn names(&self, files: impl Iterator<Item = FileId>) -> CompactString {
        let names: BTreeSet<_> = files.filter_map(|id| self.files.get(&id).map(Probed::name)).collect();
        names.into_iter().collect::<Vec<_>>().join(" or ").into()
    }

    /// How the TLS of a process is read.
    #[must_use]
    pub fn tls_of(&self, pid: u32) -> Option<TlsUse> {
        let user = self.users.get(&pid)?;
        let Some(file) = user.files.iter().find_map(|id| self.files.get(id)) else {
            return user.java.then(|| TlsUse {
                library: "Java".into(),
                attached: "",
                reason: "Java: TLS is inside the virtual machine, where nothing can be probed".into(),
            });
        };
        let (attached, reason) = match (file.is_read(), file.cost) {
            (false, _) => ("", "the probes in its library were refused"),
            (true, Cost::Emulated) => ("emulated", OTHERWISE),
            (true, Cost::Stepped) => ("stepped", OTHERWISE),
        };
        let library = self.names(user.files.iter().copied()).into();
        Some(TlsUse { library, attached, reason: reason.into() })
    }

    /// The files that hold TLS libraries.
    pub fn files(&self) -> impl Iterator<Item = &Probed> {
        self.files.values()
    }

    fn take(&mut self, find: Find, prober: &mut Prober<'_>) {
        match find {
            Find::Library(holder) => self.probe(holder, prober),
            Find::Process(pid, user) => {
                self.users.insert(pid, user);
            }
            Find::Ready => self.looked = true,
        }
    }

    fn probe(&mut self, holder: Holder, prober: &mut Prober<'_>) {
        let Holder { id, path, library, cost, plan } = holder;
        let links = if self.files.len() >= MAX_PROBED {
            self.refuse(format!("{}: more than {MAX_PROBED} files", path.display()));
            None
        } else {
            prober.probe(&plan).map_err(|error| self.refuse(format!("{}: {error}", path.display()))).ok()
        };
        self.files.insert(id, Probed { path, library, cost, links });
    }

    fn refuse(&mut self, why: String) {
        self.refusals += 1;
        if self.refused.len() < TOLD {
            self.refused.push(why);
        }
    }

    /// Whether all that ran at the start was looked at, and probed.
    #[must_use]
    pub const fn has_looked(&self) -> bool {
        self.looked || self.scanner.is_none()
    }

    /// What is not probed, or not yet.
    pub fn degradations(&self) -> impl Iterator<Item = Degradation> {
        let early = (!self.has_looked()).then(|| Degradation {
            code: "tls-search".into(),
            severity: Severity::Notice,
            what: "running programs are still looked through for TLS libraries: calls inside TLS that are made before \
                   their library was found are not seen"
                .into(),
            remedy: "it goes away by itself; whoever starts this from a script is told by NOTIFY_SOCKET, as systemd is"
                .into(),
        });
        early.into_iter().chain(self.refusal())
    }

    fn refusal(&self) -> Option<Degradation> {
        (self.refusals > 0).then(|| Degradation {
            code: "tls-probes".into(),
            severity: Severity::Partial,
            what: format!(
                "{} TLS libraries could not be probed, calls through them are not seen: {}",
                self.refusals,
                self.refused.join("; ")
            ),
            remedy: if rights::may_probe() {
                "run `apisec-top doctor` to see what this kernel or container refuses".into()
            } else {
                "give it CAP_SYS_ADMIN too: the kernel puts probes into files for nobody without it, \
                 and TLS libraries of containers are found with it only"
                    .into()
            },
        })
    }
}

impl Probed {
    /// Library and version, such as `OpenSSL 3`.
    #[must_use]
    pub fn name(&self) -> CompactString {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        let version = file.split_once(".so.").map_or("", |(_, version)| version);
        let version = if self.library == Library::OpenSsl { version } else { "" };
        format_compact!("{} {version}", self.library.name()).trim_end().into()
    }

    /// Whether its plaintext is read.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        self.links.is_some()
    }
}
