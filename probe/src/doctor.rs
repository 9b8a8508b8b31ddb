//! Examines what this machine allows: loads every hook, makes it fire once, and says in plain words what
//! is missing. Changes nothing and leaves nothing behind.

use crate::attach::{self, Bodies, HOOKS, Own, btf, cgroup, neighbours, rights, version};
use crate::enforce::ebpf::Ebpf;
use crate::enforce::{Backend as _, Lifetime};
use crate::flow::Flow;
use crate::policy::reaper;
use crate::source::live::Live;
use crate::source::{Sink, Source as _};
use crate::tls::self_test;
use apisec_abi::{Exec, Exit, Open};
use apisec_proto::call::Call;
use apisec_proto::segment::Segment;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works without it, with something missing.
    Degraded,
    /// Live capture cannot work.
    Failed,
}

/// One thing that was examined.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was examined: `kernel`, `cgroup2`, `hook connect` …
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was found, with its consequence.
    pub what: String,
    /// What to do; empty when nothing.
    pub remedy: String,
}

/// How long the hooks have to fire.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs every check, the hooks last.
#[must_use]
pub fn examine() -> Vec<Check> {
    let mut checks = vec![kernel(), cgroup2(), kernel_types(), rights(), others(), policies()];
    checks.extend(hooks());
    checks
}

fn check(name: &str, verdict: Verdict, what: impl Into<String>, remedy: &str) -> Check {
    Check { name: name.into(), verdict, what: what.into(), remedy: remedy.into() }
}

fn kernel() -> Check {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    if version() >= (5, 10) {
        check("kernel", Verdict::Good, format!("Linux {release}"), "")
    } else {
        let what = format!("Linux {release}; the hooks need 5.10 or newer");
        check("kernel", Verdict::Failed, what, "use a newer kernel, or `apisec-top replay FILE`")
    }
}

fn cgroup2() -> Check {
    match cgroup::mount_point() {
        Some(path) => check("cgroup2", Verdict::Good, format!("mounted at {}", path.display()), ""),
        None => {
            let error = cgroup::root().err();
            let (what, remedy) = error.map_or_else(Default::default, |error| (error.what, error.remedy));
            check("cgroup2", Verdict::Failed, what, &remedy)
        }
    }
}

/// What policies have left in the kernel.
fn policies() -> Check {
    let held = match Ebpf::open(Lifetime::Deadline).inspect() {
        Ok(held) => held,
        Err(error) => return check("policies", Verdict::Degraded, error.to_string(), "apisec-top panic"),
    };
    let pins = held.pins.len();
    if pins == 0 {
        return check("policies", Verdict::Good, "nothing of ours is pinned in the kernel", "");
    }
    let over = held.policies.iter().filter(|one| one.deadline.passed()).count();
    let what = format!(
        "{} in force, {over} over, {pins} pins, {} connections whose requests are read",
        held.policies.len() - over,
        held.sockets
    );
    if reaper::is_there() {
        return check("policies", Verdict::Good, format!("{what}; a process removes them in time"), "");
    }
    let what = format!("{what}; no process removes what is over, which refuses nothing any more");
    check(
        "policies",
        Verdict::Degraded,
        what,
        "apisec-top policy list goes on with it, apisec-top panic removes all",
    )
}

fn kernel_types() -> Check {
    match btf::degradation() {
        None => check("BTF", Verdict::Good, "the kernel describes its types", ""),
        Some(missing) => check("BTF", Verdict::Degraded, missing.what, &missing.remedy),
    }
}

fn rights() -> Check {
    let missing = rights::lacking();
    if missing.is_empty() {
        return check("rights", Verdict::Good, "all capabilities that the hooks need", "");
    }
    let what = format!("not held: {}", missing.join(", "));
    check("rights", Verdict::Failed, what, "run it with sudo; in a container, add these capabilities")
}

fn others() -> Check {
    match neighbours::foreign_programs() {
        Some(0) => check("other BPF", Verdict::Good, "no programs of other tools are loaded", ""),
        Some(count) => {
            let what = format!("{count} programs of other tools are loaded; ours are added beside them");
            check("other BPF", Verdict::Good, what, "")
        }
        None => {
            check("other BPF", Verdict::Degraded, "loaded programs may not be listed", "run it with sudo")
        }
    }
}

/// Which hooks were seen to fire.
#[derive(Default)]
struct Fired {
    payload: bool,
    client: bool,
    handshake: bool,
    exec: bool,
    exit: bool,
    plaintext: bool,
}

impl Fired {
    fn hook(&self, name: &str) -> bool {
        match name {
            "capture" => self.payload,
            "connect" => self.client,
            "handshake" => self.handshake,
            "exec" => self.exec,
            "exit" => self.exit,
            "tls" => self.plaintext,
            _ => false,
        }
    }

    fn all(&self) -> bool {
        HOOKS.iter().all(|hook| self.hook(hook.name))
    }
}

impl Sink for Fired {
    fn segment(&mut self, segment: &Segment<'_>, _flow: &Flow) {
        self.payload |= segment.bytes.starts_with(PROBE);
        self.plaintext |= segment.bytes == self_test::PLAINTEXT;
    }

    fn opened(&mut self, open: &Open) {
        if open.client_tgid == std::process::id() {
            self.client = true;
            self.handshake |= open.client_isn != 0;
        }
    }

    fn started(&mut self, _exec: &Exec) {
        self.exec = true;
    }

    fn ended(&mut self, _exit: &Exit) {
        self.exit = true;
    }

    fn call(&mut self, _call: &Call) {}
}

const PROBE: &[u8] = b"GET /apisec-top-self-test HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn hooks() -> Vec<Check> {
    let mut live = match Live::start(Own::Included, Bodies::Heads, Vec::new) {
        Ok(live) => live,
        Err(error) => return vec![check("hooks", Verdict::Failed, error.what, &error.remedy)],
    };
    let mut refused = live.degradations();
    if let Some(plan) = self_test::plan() {
        refused.extend(live.probe(&plan).err());
    }
    let mut fired = Fired::default();
    let until = Instant::now() + PATIENCE;
    while !fired.all() && Instant::now() < until {
        provoke();
        if live.poll(&mut fired).is_err() {
            break;
        }
    }
    let whole = refused.iter().find(|missing| missing.code == attach::HTTP2_WHOLE);
    let frames = whole.map(|whole| check("HTTP/2", Verdict::Degraded, whole.what.clone(), &whole.remedy));
    HOOKS
        .iter()
        .map(|hook| {
            let name = format!("hook {}", hook.name);
            let code = format!("hook-{}", hook.name);
            let worst = if hook.required { Verdict::Failed } else { Verdict::Degraded };
            if let Some(missing) = refused.iter().find(|missing| missing.code == code) {
                check(&name, worst, missing.what.clone(), &missing.remedy)
            } else if fired.hook(hook.name) {
                check(&name, Verdict::Good, format!("loaded and fired: {}", hook.purpose), "")
            } else {
                let what = format!("loaded, but it did not fire within {PATIENCE:?}: {}", hook.without);
                check(&name, worst, what, "the kernel may run programs in another cgroup root: report it")
            }
        })
        .chain(frames)
        .collect()
}

/// One request over loopback and one short process: what every hook should notice.
fn provoke() {
    let _quiet = exchange();
    let _absent = Command::new("true").stdin(Stdio::null()).status();
}

fn exchange() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(PROBE)?;
    self_test::provoke(&mut server);
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
}
