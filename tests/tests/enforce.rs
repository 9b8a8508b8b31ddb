//! Rules in the kernel of this machine, against real servers and clients. One at a time: they look at everything
//! of enforcement that the kernel has.

mod blocking;
mod connect;
mod follow;
mod lossless;
mod reactive;
mod reaper;
mod request;
mod sequences;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use apisec_probe::clock;
use apisec_probe::enforce::ebpf::{Ebpf, Folder};
use apisec_probe::enforce::rule::{Deadline, Rule, Step};
use apisec_probe::enforce::{Backend, Lifetime};
use apisec_tests::eventually;
use apisec_tests::skip::{have_programs, have_root};
use aya::maps::MapType;

/// Pins of these tests; nobody else's.
const FOLDER: &str = "tests-of-enforcement";
/// The kernel frees programs and maps after a grace period.
const FREED: Duration = Duration::from_secs(180);
/// Names of the programs and maps of enforcement, as far as the kernel keeps them.
const NAMES: [&str; 16] = [
    "apisec_deny4",
    "apisec_deny6",
    "apisec_enrol",
    "apisec_parse",
    "apisec_verdict",
    "apisec_handover",
    "RULES",
    "POLICIES",
    "PRESENT",
    "EFFECTS",
    "CONNECT",
    "ALLOWED",
    "SOCKETS",
    "STREAMS",
    "WISHES",
    "CLOSE",
];

static ALONE: Mutex<()> = Mutex::new(());

/// Whether the test `enforce::{name}` can run here; while it does, no other of these runs.
fn can_run(name: &str, programs: &[&str]) -> Option<MutexGuard<'static, ()>> {
    let name = format!("enforce::{name}");
    let can = have_root(&name) && have_programs(&name, programs);
    can.then(|| ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The backend as any process opens it.
fn backend() -> Ebpf {
    Ebpf::at(Folder::beside(FOLDER), Lifetime::Deadline)
}

/// A backend that takes everything back when the test ends, however it ends.
struct Tidy(Ebpf);

impl Tidy {
    fn new() -> Self {
        Self(backend())
    }
}

impl Drop for Tidy {
    fn drop(&mut self) {
        if let Err(error) = self.0.remove_all() {
            eprintln!("{error}");
        }
    }
}

fn step(policy: u32, ttl: Duration, rules: Vec<Rule>) -> Step {
    let deadline = Deadline(clock::boottime() + ttl.as_nanos() as u64);
    Step { policy, deadline, rules }
}

/// Names of programs and maps of enforcement that the kernel has. Capture has a map of the name of one, of another kind.
fn in_the_kernel() -> Vec<String> {
    let programs = aya::programs::loaded_programs().filter_map(Result::ok).map(|p| p.name().to_vec());
    let maps = aya::maps::loaded_maps().filter_map(Result::ok);
    let maps = maps.filter(|map| !matches!(map.map_type(), Ok(MapType::SkStorage)));
    let maps = maps.map(|map| map.name().to_vec());
    let names = programs.chain(maps).map(|name| String::from_utf8_lossy(&name).into_owned());
    names.filter(|name| NAMES.contains(&name.as_str())).collect()
}

/// Waits until the kernel has nothing of enforcement any more.
#[track_caller]
fn nothing_is_left() {
    assert!(!std::path::Path::new("/sys/fs/bpf").join(FOLDER).exists(), "pins are left");
    let gone = eventually("nothing left", FREED, || in_the_kernel().is_empty().then_some(()));
    assert!(gone.is_ok(), "left: {:?}", in_the_kernel());
}
