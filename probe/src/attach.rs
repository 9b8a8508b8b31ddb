//! Loads the kernel programs and attaches them, one hook per file. Nothing is pinned: every link lives
//! in this process and goes with it, however it ends. Programs of others are never touched: links are
//! added beside them.

mod batch;
pub mod btf;
pub mod capture;
pub mod cgroup;
pub mod connect;
pub mod handshake;
pub mod neighbours;
pub mod process;
pub mod rights;
pub mod tls;

use self::batch::Batches;
use crate::reach::Reach;
use crate::source::SourceError;
use apisec_abi::{COUNTER_NAMES, Seed};
use apisec_engine::degradation::{Degradation, Severity};
use aya::maps::{HashMap, MapData, PerCpuArray, RingBuf};
use aya::{Ebpf, EbpfLoader};
use std::fs::File;
use std::io;

/// The kernel programs, as built by `build.rs`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probe.bpf.o"));

/// Size of the ring to user space: a power of two. A sixth of a second of 100,000 small calls a second. Its pages are
/// mapped twice, and count twice in our memory.
pub const RING_BYTES: u32 = 8 << 20;
/// Unread bytes above which the reader is woken.
const WAKE_ABOVE: u32 = RING_BYTES / 2;

/// A kernel hook.
pub struct Hook {
    /// Name, as `doctor` prints it.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// What is missing without it.
    pub without: &'static str,
    /// Live capture cannot work without it.
    pub required: bool,
    /// Loads and attaches its programs.
    pub attach: fn(&mut Ebpf, &Place) -> Result<(), HookError>,
}

/// All hooks, in the order in which they are attached: who connects must be known before payload comes.
pub const HOOKS: &[Hook] =
    &[connect::HOOK, handshake::HOOK, process::EXEC, process::EXIT, tls::HOOK, capture::HOOK];

/// Where hooks are attached.
pub struct Place {
    /// Root of the cgroup2 hierarchy, or of the part of it that is looked at.
    pub cgroup: File,
}

/// A hook could not be loaded or attached.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The object holds no such program: a broken build.
    #[error("the program {0} is missing from the kernel object")]
    Missing(&'static str),
    /// The kernel lacks what the hook needs.
    #[error("{0}")]
    Unsuitable(&'static str),
    /// The kernel refused to put probes into a file.
    #[error("{0}")]
    NotPut(#[source] io::Error),
    /// The kernel refused.
    #[error("{}", crate::attach::reason(.0))]
    Refused(#[from] aya::programs::ProgramError),
}

/// The programs in the kernel and the maps that are shared with them. Dropping it detaches everything.
pub struct Attached {
    ebpf: Ebpf,
    /// `None` on a kernel that takes probes one by one only.
    batches: Option<Batches>,
    /// Events from the kernel.
    pub ring: RingBuf<MapData>,
    seeds: HashMap<MapData, u64, SeedValue>,
    counters: PerCpuArray<MapData, u64>,
    samples: HashMap<MapData, u32, u32>,
    /// What could not be attached.
    pub degradations: Vec<Degradation>,
}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct SeedValue(Seed);

#[expect(unsafe_code, reason = "aya wants Pod for map values")]
// SAFETY: integers without padding, any bit pattern is a value.
unsafe impl aya::Pod for SeedValue {}

/// Whose traffic is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Ours is never captured.
    Excluded,
    /// Ours is captured like any other: for the self-test only.
    Included,
}

/// How much of bodies is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// What the budgets hold.
    Heads,
    /// Some of them whole, as they are asked for.
    Sampled,
}

/// Loads the object and attaches every hook; `seed` is called between the hooks that learn of new
/// connections and the one that reads payload, and returns what is known of older connections; `probe` puts the
/// first probes into TLS libraries, unless that hook was refused.
///
/// # Errors
/// The kernel refuses the object or a required hook; says what to do.
pub fn attach(
    own: Own,
    reach: &Reach,
    bodies: Bodies,
    seed: impl FnOnce() -> Vec<(u64, Seed)>,
    probe: impl FnOnce(&mut Prober<'_>),
) -> Result<Attached, SourceError> {
    let place = Place { cgroup: reach.open()? };
    let (mut ebpf, abilities) = load_what_fits(own, bodies)?;
    let mut degradations: Vec<_> = abilities.degradation().into_iter().collect();
    let (mut seed, mut probe, mut batches) = (Some(seed), Some(probe), None);
    for hook in HOOKS {
        if hook.name == capture::HOOK.name
            && let Some(seed) = seed.take()
        {
            plant(&mut ebpf, seed())?;
        }
        if let Err(error) = (hook.attach)(&mut ebpf, &place) {
            if hook.required {
                return Err(refused(hook, &error));
            }
            degradations.push(missing(hook, &error));
        } else if hook.name == tls::HOOK.name
            && let Some(probe) = probe.take()
        {
            batches = Batches::load(&ebpf, OBJECT).ok();
            probe(&mut Prober { ebpf: &mut ebpf, batches: batches.as_ref() });
        }
    }
    let ring = RingBuf::try_from(take(&mut ebpf, "EVENTS")?).map_err(|error| broken(&error))?;
    let counters = PerCpuArray::try_from(take(&mut ebpf, "COUNTERS")?).map_err(|error| broken(&error))?;
    let seeds = HashMap::try_from(take(&mut ebpf, "SEED")?).map_err(|error| broken(&error))?;
    let samples = HashMap::try_from(take(&mut ebpf, "SAMPLES")?).map_err(|error| broken(&error))?;
    degradations.extend(btf::degradation());
    Ok(Attached { ebpf, batches, ring, seeds, counters, samples, degradations })
}

/// Puts probes into files while the hook `tls` is attached.
pub struct Prober<'a> {
    ebpf: &'a mut Ebpf,
    batches: Option<&'a Batches>,
}

impl Prober<'_> {
    /// Puts the probes of `plan` into its file: all of them, or none.
    ///
    /// # Errors
    /// The kernel refuses one.
    pub fn probe(&mut self, plan: &tls::Plan) -> Result<tls::Links, HookError> {
        tls::probe(self.ebpf, self.batches, plan)
    }

    /// Takes all of these probes out, which is faster than dropping them.
    pub fn release(&mut self, links: impl Iterator<Item = tls::Links>) {
        tls::release(self.ebpf, links);
    }
}

impl Attached {
    /// The kernel's counters, in the order of [`COUNTER_NAMES`].
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let sum = |index: usize| {
            let per_cpu = self.counters.get(&(index as u32), 0);
            per_cpu.map_or(0, |values| values.iter().sum())
        };
        COUNTER_NAMES.iter().enumerate().map(|(index, name)| (*name, sum(index))).collect()
    }

    /// Revises the kernel's verdict on a connection; it takes effect within a few direction turns.
    pub fn revise(&mut self, cookie: u64, seed: Seed) {
        // A full map evicts its oldest entry; a failure leaves the verdict as it was.
        let _unchanged = self.seeds.insert(cookie, SeedValue(seed), 0);
    }

    /// Asks for so many whole bodies of whoever listens on `port`, in place of what was asked for before.
    pub fn want(&mut self, port: u16, bodies: u32) {
        // What does not fit is asked for again by the next call.
        let _later = self.samples.insert(u32::from(port), bodies, 0);
    }

    /// Puts probes into files.
    pub fn prober(&mut self) -> Prober<'_> {
        Prober { ebpf: &mut self.ebpf, batches: self.batches.as_ref() }
    }

    /// Programs that are loaded, by name.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.ebpf.programs().map(|(name, _)| name)
    }
}

/// What the programs do only where the kernel lets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Abilities {
    /// `bpf_get_netns_cookie` in every hook that wants it (Linux 5.15).
    netns_cookies: bool,
    /// Frames of HTTP/2 are followed; older verifiers give up on that after a million instructions.
    frames: bool,
}

impl Abilities {
    /// What is worth trying: a verifier that gives up takes seconds for it.
    fn worth_trying() -> Self {
        Self { netns_cookies: true, frames: version() >= FOLLOWS_FRAMES }
    }

    fn degradation(self) -> Option<Degradation> {
        (!self.frames).then(|| Degradation {
            code: HTTP2_WHOLE.into(),
            severity: Severity::Notice,
            what: "this kernel's verifier does not let us follow HTTP/2 frames, so that whole packets are read: nothing is \
                   missing, but large HTTP/2 bodies cost more"
                .into(),
            remedy: "a kernel from 6.12 on follows them".into(),
        })
    }
}

/// The degradation of a kernel on which frames are not followed.
pub const HTTP2_WHOLE: &str = "http2-whole";
/// The first kernel on which frames were seen to be followed.
const FOLLOWS_FRAMES: (u32, u32) = (6, 12);

/// Major and minor number of this kernel.
#[must_use]
pub fn version() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The object with as many abilities as the verifier lets pass.
fn load_what_fits(own: Own, bodies: Bodies) -> Result<(Ebpf, Abilities), SourceError> {
    let mut abilities = Abilities::worth_trying();
    loop {
        let mut ebpf = load(own, bodies, abilities)?;
        let less = Abilities {
            netns_cookies: abilities.netns_cookies && handshake::load(&mut ebpf).is_ok(),
            frames: abilities.frames && capture::load(&mut ebpf).is_ok(),
        };
        if less == abilities {
            return Ok((ebpf, abilities));
        }
        abilities = less;
    }
}

/// Loads a program, unless it is loaded.
fn once(loaded: Result<(), aya::programs::ProgramError>) -> Result<(), HookError> {
    match loaded {
        Ok(()) | Err(aya::programs::ProgramError::AlreadyLoaded) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn load(own: Own, bodies: Bodies, abilities: Abilities) -> Result<Ebpf, SourceError> {
    let offsets = btf::offsets().unwrap_or_default();
    EbpfLoader::new()
        .map_max_entries("EVENTS", RING_BYTES)
        .override_global("WAKE_ABOVE", &u64::from(WAKE_ABOVE), true)
        .override_global("OWN_TGID", &if own == Own::Excluded { std::process::id() } else { 0 }, true)
        .override_global("SAMPLING", &u32::from(bodies == Bodies::Sampled), true)
        .override_global("HAS_NETNS_COOKIE", &u32::from(abilities.netns_cookies), true)
        .override_global("FOLLOWS_FRAMES", &u32::from(abilities.frames), true)
        .override_global("OFFSET_TASK_MM", &offsets.task_mm, true)
        .override_global("OFFSET_MM_ARG_START", &offsets.mm_arg_start, true)
        .override_global("OFFSET_MM_ARG_END", &offsets.mm_arg_end, true)
        .override_global("OFFSET_TASK_FILES", &offsets.descriptor.task_files, true)
        .override_global("OFFSET_FILES_TABLE", &offsets.descriptor.files_table, true)
        .override_global("OFFSET_TABLE_FD", &offsets.descriptor.table_fd, true)
        .override_global("OFFSET_FILE_DATA", &offsets.descriptor.file_data, true)
        .override_global("OFFSET_SOCKET_FILE", &offsets.descriptor.socket_file, true)
        .override_global("OFFSET_SOCKET_SK", &offsets.descriptor.socket_sk, true)
        .override_global("OFFSET_SK_COOKIE", &offsets.sock.cookie, true)
        .override_global("OFFSET_SK_FAMILY", &offsets.sock.family, true)
        .override_global("OFFSET_SK_STATE", &offsets.sock.state, true)
        .override_global("OFFSET_SK_LOCAL_PORT", &offsets.sock.local_port, true)
        .override_global("OFFSET_SK_REMOTE_PORT", &offsets.sock.remote_port, true)
        .override_global("OFFSET_SK_LOCAL4", &offsets.sock.local4, true)
        .override_global("OFFSET_SK_REMOTE4", &offsets.sock.remote4, true)
        .override_global("OFFSET_SK_LOCAL6", &offsets.sock.local6, true)
        .override_global("OFFSET_SK_REMOTE6", &offsets.sock.remote6, true)
        .load(OBJECT)
        .map_err(|error| not_loaded(&error))
}

fn plant(ebpf: &mut Ebpf, seeds: Vec<(u64, Seed)>) -> Result<(), SourceError> {
    let Some(map) = ebpf.map_mut("SEED") else { return Err(broken(&"no map SEED")) };
    let mut map: HashMap<_, u64, SeedValue> = HashMap::try_from(map).map_err(|error| broken(&error))?;
    for (cookie, seed) in seeds {
        let _evicted = map.insert(cookie, SeedValue(seed), 0);
    }
    Ok(())
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, SourceError> {
    ebpf.take_map(name).ok_or_else(|| broken(&format!("no map {name}")))
}

fn broken(error: &dyn std::fmt::Display) -> SourceError {
    SourceError {
        what: format!("the kernel object of this build is broken: {error}"),
        remedy: "this is a bug of apisec-top: please report it".into(),
    }
}

fn not_loaded(error: &aya::EbpfError) -> SourceError {
    let what = match cause(error) {
        Some(io::ErrorKind::PermissionDenied) => {
            "this process may not load programs into the kernel".to_owned()
        }
        Some(io::ErrorKind::Unsupported) => {
            "this kernel, or the container's filter, has no bpf(2)".to_owned()
        }
        _ => format!("the kernel does not accept our maps: {}", chain(error)),
    };
    SourceError { what, remedy: remedy(error) }
}

/// The answer of the system behind an error.
fn cause(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    let own = error.downcast_ref::<io::Error>().map(io::Error::kind);
    own.or_else(|| error.source().and_then(cause))
}

fn refused(hook: &Hook, error: &HookError) -> SourceError {
    SourceError {
        what: format!(
            "the hook «{}» cannot be attached, and without it {}: {error}",
            hook.name, hook.without
        ),
        remedy: remedy(error),
    }
}

pub(crate) fn missing(hook: &Hook, error: &HookError) -> Degradation {
    Degradation {
        code: format!("hook-{}", hook.name),
        severity: Severity::Partial,
        what: format!("the hook «{}» is not attached ({error}): {}", hook.name, hook.without),
        remedy: remedy(error),
    }
}

fn remedy(error: &(dyn std::error::Error + 'static)) -> String {
    let lacking = rights::lacking().join(", ");
    if errno(error) == Some(rustix::io::Errno::MFILE.raw_os_error()) {
        "raise the limit of open files: ulimit -n 4096".into()
    } else if !rustix::process::geteuid().is_root() {
        "run it with sudo (it needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON), \
         or use `apisec-top replay FILE`, which needs no rights"
            .into()
    } else if lacking.is_empty() {
        "run `apisec-top doctor` to see what this kernel or container refuses; \
         `apisec-top replay FILE` works without the kernel"
            .into()
    } else {
        format!(
            "this is a root without {lacking}: give them to its container or unit (docker run --cap-add, \
             AmbientCapabilities=), or run it on the node itself\n`apisec-top replay FILE` needs no rights"
        )
    }
}

/// The number of the system's error behind an error.
fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let own = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    own.or_else(|| error.source().and_then(errno))
}

/// How the last lines of a verifier's log begin that give no reason.
const STATISTICS: [&str; 3] = ["processed", "stack depth", "verification time"];

/// The innermost reasons of a refused program, without the verifier's log.
pub(crate) fn reason(error: &aya::programs::ProgramError) -> String {
    match error {
        aya::programs::ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let is_statistic = |line: &&str| STATISTICS.iter().any(|start| line.starts_with(start));
            let last = log.lines().rev().find(|line| !is_statistic(line)).unwrap_or_default();
            format!("{io_error} {last}").trim_end().to_owned()
        }
        other => chain(other),
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
