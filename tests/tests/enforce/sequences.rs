//! Policies come, go, run out, and whoever applies them is killed, at random and under load: no request that no policy is about
//! is ever refused, none that one is about gets through while it is in force, and at the end the node is as it was.
//! `APISEC_SEQUENCES=100` makes as many sequences as it says, and asks as fast as the machine does: beside other tests, whose calls
//! would drown, there is a pause between two requests.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use apisec_tests::client::connect;
use apisec_tests::eventually;
use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::tool::{self, Running};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::request::{ask, get};
use super::{can_run, in_the_kernel};

/// Pins of these tests; nobody else's.
const PINS: &str = "tests-of-sequences";
const PATIENCE: Duration = Duration::from_secs(180);
/// Sequences unless `APISEC_SEQUENCES` says otherwise.
const SEQUENCES: u64 = 3;
/// Pause of a client between two requests, unless it is said how many sequences are wanted.
const PAUSE: Duration = Duration::from_millis(2);
/// Orders of one sequence.
const ORDERS: u64 = 6;
const SERVER: &str = "keepalive_requests 1000000000; keepalive_timeout 600s; location / { return 200 'ok'; }";

/// What is known of the policy about `/api/admin/{any}`: even while that changes, and how often it has.
#[derive(Default)]
struct World {
    over: AtomicBool,
    pause: Duration,
    /// The last two bits say how it stands: [`OFF`], [`ON`], [`MAYBE`]; the others count changes.
    epoch: AtomicU64,
    asked: AtomicU64,
    refused: AtomicU64,
    wrongly_refused: AtomicU64,
    wrongly_passed: AtomicU64,
    /// Connections that ended although nothing should have ended them: a known defect on busy machines, see `lossless`.
    lost: AtomicU64,
}

const OFF: u64 = 0;
const ON: u64 = 1;
const MAYBE: u64 = 2;

impl World {
    fn stands(&self, how: u64) {
        let next = (self.epoch.load(SeqCst) >> 2) + 1;
        self.epoch.store(next << 2 | how, SeqCst);
    }

    /// Asks for both kinds of paths on connections that stay until it is over.
    fn client(&self, number: u64, to: SocketAddr) {
        let mut connection: Option<TcpStream> = None;
        for round in 0_u64.. {
            if self.over.load(SeqCst) {
                return;
            }
            thread::park_timeout(self.pause);
            let meant = (number + round).is_multiple_of(3);
            let path = format!("/api/{}/{number}x{round}", if meant { "admin" } else { "items" });
            let before = self.epoch.load(SeqCst);
            let own = connection.get_or_insert_with(|| connect(to).unwrap());
            let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ask(own, &get(&path))));
            let Ok(answer) = answer else {
                self.lost.fetch_add(1, SeqCst);
                connection = None;
                continue;
            };
            let refused = answer.starts_with("HTTP/1.1 403");
            self.asked.fetch_add(1, SeqCst);
            self.refused.fetch_add(u64::from(refused), SeqCst);
            let known = before == self.epoch.load(SeqCst) && before & 3 != MAYBE;
            if refused && (!meant || known && before & 3 == OFF) {
                self.wrongly_refused.fetch_add(1, SeqCst);
            }
            if !refused && meant && known && before & 3 == ON {
                self.wrongly_passed.fetch_add(1, SeqCst);
            }
        }
    }
}

/// Reproducible randomness: xorshift64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

struct Node {
    state: TempDir,
    service: SocketAddr,
}

impl Node {
    fn start(&self, arguments: &[&str]) -> Running {
        let mut command = tool::command(arguments).unwrap();
        command.env("APISEC_TOP_PINS", PINS).env("APISEC_TOP_STATE", self.state.path());
        Running::start_command(command).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> String {
        let run = self.start(arguments).wait(PATIENCE).unwrap();
        assert!(run.status.success(), "{arguments:?}: {}{}", run.stdout, run.stderr);
        run.stdout
    }

    fn apply(&self, ttl: &str) -> Running {
        let policy = format!(
            "apiVersion: apisec-top/1\nkind: Policy\nmetadata: {{name: stop}}\nspec:\n  scope: {{endpoint: {{service: \"{}\", path: \"/api/admin/{{any}}\"}}}}\n  ttl: {ttl}\n",
            self.service
        );
        let file = self.state.path().join("stop.yaml");
        fs::File::create(&file).unwrap().write_all(policy.as_bytes()).unwrap();
        self.start(&["policy", "apply", file.to_str().unwrap(), "--yes", "--watch", "100ms"])
    }

    /// How the policy stands by the word of the tool; nothing when there is none in force.
    fn state(&self) -> Vec<String> {
        let all: Value = serde_json::from_str(&self.run(&["policy", "list", "--output", "json"])).unwrap();
        let open = |one: &&Value| !matches!(one["state"].as_str(), Some("undone" | "expired"));
        let open = all.as_array().unwrap().iter().filter(open);
        open.map(|one| one["state"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn reapers(&self) -> Vec<i32> {
        let journal = self.state.path().join("policies.journal").display().to_string();
        let pids =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            line.contains("\0reap\0") && line.contains(&journal)
        })
        .collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let ended = self.start(&["panic"]).wait(PATIENCE);
        eprintln!("{:?}", ended.map(|run| run.stdout));
    }
}

/// One sequence; at its end nothing is in force.
fn sequence(node: &Node, world: &World, dice: &mut Dice) {
    for _ in 0..ORDERS {
        match dice.below(6) {
            // It is put into force, and after a while taken back.
            0 | 1 => {
                world.stands(MAYBE);
                let run = node.apply("30m").wait(PATIENCE).unwrap();
                if run.status.success() {
                    world.stands(ON);
                    rest(dice.below(400));
                    world.stands(MAYBE);
                }
                node.run(&["policy", "rollback", "--all", "--yes"]);
                world.stands(OFF);
            }
            // It runs out.
            2 => {
                world.stands(MAYBE);
                if node.apply("1s").wait(PATIENCE).unwrap().status.success() {
                    eventually("it runs out", PATIENCE, || node.state().is_empty().then_some(())).unwrap();
                    world.stands(OFF);
                }
            }
            // Whoever applies it is killed, whenever.
            3 | 4 => {
                world.stands(MAYBE);
                let run = node.apply("30m");
                rest(dice.below(900));
                run.process().signal(Signal::KILL).unwrap();
                let _killed = run.wait(PATIENCE);
                // What the tool says then is so: in force, or not.
                match node.state().as_slice() {
                    [] => world.stands(OFF),
                    [one] if one == "active" => world.stands(ON),
                    other => panic!("{other:?}"),
                }
                rest(dice.below(300));
            }
            // So is whoever would end it.
            _ => {
                for pid in node.reapers() {
                    let _gone = rustix::process::Pid::from_raw(pid)
                        .map(|pid| rustix::process::kill_process(pid, Signal::KILL));
                }
            }
        }
    }
    world.stands(MAYBE);
    node.run(&["policy", "rollback", "--all", "--yes"]);
    assert!(node.state().is_empty());
    world.stands(OFF);
    rest(dice.below(200));
}

/// Load goes on for so many milliseconds: that is the point.
fn rest(milliseconds: u64) {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    while Instant::now() < until {
        thread::park_timeout(until - Instant::now());
    }
}

#[test]
fn the_node_is_as_it_was_after_any_sequence() {
    let name = "sequences::the_node_is_as_it_was_after_any_sequence";
    let Some(_alone) = can_run(name, &["nginx"]) else { return };
    let wished: Option<u64> = std::env::var("APISEC_SEQUENCES").ok().and_then(|n| n.parse().ok());
    let nginx = Nginx::start(NginxSetup { server: SERVER, ..NginxSetup::default() }).unwrap();
    let node = Node { state: tempfile::tempdir().unwrap(), service: nginx.address() };
    let pause = if wished.is_none() { PAUSE } else { Duration::ZERO };
    let (wished, world) = (wished.unwrap_or(SEQUENCES), World { pause, ..World::default() });
    let began = Instant::now();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|number| {
                scope.spawn({
                    let world = &world;
                    let to = nginx.address();
                    move || world.client(number, to)
                })
            })
            .collect();
        let mut dice = Dice(88_172_645_463_325_252);
        let play = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..wished {
                sequence(&node, &world, &mut dice);
            }
        }));
        world.over.store(true, SeqCst);
        clients.into_iter().for_each(|client| client.join().unwrap());
        play.unwrap();
    });
    let count = |of: &AtomicU64| of.load(SeqCst);
    println!(
        "{wished} sequences in {:?}: {} requests, {} refused, wrongly refused {}, wrongly passed {}, connections lost {}",
        began.elapsed(),
        count(&world.asked),
        count(&world.refused),
        count(&world.wrongly_refused),
        count(&world.wrongly_passed),
        count(&world.lost)
    );
    assert_eq!((count(&world.wrongly_refused), count(&world.wrongly_passed)), (0, 0));
    assert!(count(&world.refused) > 0, "nothing was refused");
    eventually("nothing pinned", PATIENCE, || (!Path::new("/sys/fs/bpf").join(PINS).exists()).then_some(()))
        .unwrap();
    eventually("nobody reaps", PATIENCE, || node.reapers().is_empty().then_some(())).unwrap();
    let left = eventually("nothing left", PATIENCE, || in_the_kernel().is_empty().then_some(()));
    assert!(left.is_ok(), "left: {:?}", in_the_kernel());
}
