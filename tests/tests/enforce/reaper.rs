//! Policies that the real program applied end at their time, whoever is left to end them.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use apisec_tests::client::connect;
use apisec_tests::eventually;
use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::tool::{self, Running};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::request::{ask, get};
use super::{can_run, in_the_kernel};

/// Pins of these tests; nobody else's.
const PINS: &str = "tests-of-reaping";
const PATIENCE: Duration = Duration::from_secs(180);

fn pinned() -> bool {
    Path::new("/sys/fs/bpf").join(PINS).exists()
}

/// Runs the tool to its end, on a state folder of its own.
fn top(state: &TempDir, arguments: &[&str]) -> String {
    let mut command = tool::command(arguments).unwrap();
    command.env("APISEC_TOP_PINS", PINS).env("APISEC_TOP_STATE", state.path());
    let run = Running::start_command(command).unwrap().wait(PATIENCE).unwrap();
    assert!(run.status.success(), "{arguments:?}: {}{}", run.stdout, run.stderr);
    run.stdout
}

/// The process that ends policies of this state folder.
fn reaper(state: &TempDir) -> Option<Pid> {
    let journal = state.path().join("policies.journal");
    let is_it = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains("\0reap\0") && line.contains(&journal.display().to_string())
    };
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid > 0).find(is_it).and_then(Pid::from_raw)
}

/// Applies a policy with the real program; its connection is refused, and not closed. On a busy machine a short time is over
/// before anybody has looked: then it lasts longer.
fn apply(state: &TempDir, nginx: &Nginx, seconds: u32, connection: &mut TcpStream) {
    let refused = [1, 4, 16].into_iter().any(|times| {
        apply_once(state, nginx, seconds * times);
        ask(connection, &get("/api/admin/1")).starts_with("HTTP/1.1 403")
    });
    assert!(refused, "nothing was refused");
}

fn apply_once(state: &TempDir, nginx: &Nginx, ttl: u32) {
    let policy = format!(
        "apiVersion: apisec-top/1\nkind: Policy\nmetadata: {{name: stop}}\nspec:\n  scope: {{endpoint: {{service: \"{}\", path: \"/api/admin/{{any}}\"}}}}\n  ttl: {ttl}s\n",
        nginx.address()
    );
    let file = state.path().join("stop.yaml");
    fs::File::create(&file).unwrap().write_all(policy.as_bytes()).unwrap();
    top(state, &["policy", "apply", file.to_str().unwrap(), "--yes", "--watch", "500ms"]);
}

/// Waits until the policy refuses nothing any more.
fn until_it_passes(connection: &mut TcpStream) {
    let passed = eventually("the deadline", PATIENCE, || {
        ask(connection, &get("/api/admin/1")).starts_with("HTTP/1.1 200").then_some(())
    });
    passed.unwrap();
}

#[test]
fn what_is_over_is_removed_when_the_program_is_gone() {
    let Some(_alone) = can_run("reaper::what_is_over_is_removed_when_the_program_is_gone", &["nginx"]) else {
        return;
    };
    let (state, nginx) = (tempfile::tempdir().unwrap(), Nginx::start(NginxSetup::default()).unwrap());
    let mut connection = connect(nginx.address()).unwrap();
    apply(&state, &nginx, 8, &mut connection);
    assert!(pinned() && reaper(&state).is_some());
    until_it_passes(&mut connection);
    let over = Instant::now();
    eventually("no pin", PATIENCE, || (!pinned()).then_some(())).unwrap();
    println!("pins were gone {:?} after the deadline", over.elapsed());
    eventually("no reaper", PATIENCE, || reaper(&state).is_none().then_some(())).unwrap();
    let left = eventually("nothing left", PATIENCE, || in_the_kernel().is_empty().then_some(()));
    assert!(left.is_ok(), "left: {:?}", in_the_kernel());
    assert!(ask(&mut connection, &get("/api/admin/1")).starts_with("HTTP/1.1 200"));
    let history = top(&state, &["policy", "history"]);
    assert!(history.contains("expired"), "{history}");
}

#[test]
fn the_next_start_removes_it_when_the_reaper_was_killed_too() {
    let name = "reaper::the_next_start_removes_it_when_the_reaper_was_killed_too";
    let Some(_alone) = can_run(name, &["nginx"]) else { return };
    let (state, nginx) = (tempfile::tempdir().unwrap(), Nginx::start(NginxSetup::default()).unwrap());
    let mut connection = connect(nginx.address()).unwrap();
    apply(&state, &nginx, 8, &mut connection);
    kill_process(reaper(&state).unwrap(), Signal::KILL).unwrap();
    eventually("no reaper", PATIENCE, || reaper(&state).is_none().then_some(())).unwrap();
    // The kernel keeps the deadline alone.
    until_it_passes(&mut connection);
    assert!(pinned(), "nobody is there who could have removed them");
    let said = top(&state, &["doctor"]);
    assert!(said.contains("no process removes what is over"), "{said}");
    top(&state, &["policy", "list"]);
    eventually("no pin", PATIENCE, || (!pinned()).then_some(())).unwrap();
    assert!(ask(&mut connection, &get("/api/admin/1")).starts_with("HTTP/1.1 200"));

    // And so does panic, with a policy in force and nobody else.
    apply(&state, &nginx, 600, &mut connection);
    kill_process(reaper(&state).unwrap(), Signal::KILL).unwrap();
    top(&state, &["panic"]);
    assert!(!pinned());
    assert!(ask(&mut connection, &get("/api/admin/1")).starts_with("HTTP/1.1 200"));
    let left = eventually("nothing left", PATIENCE, || in_the_kernel().is_empty().then_some(()));
    assert!(left.is_ok(), "left: {:?}", in_the_kernel());
}
