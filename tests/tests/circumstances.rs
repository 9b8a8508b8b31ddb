//! Bad circumstances: what the program says when it cannot work, and what it leaves behind.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::skip::{have_programs, have_root};
use apisec_tests::tool::{self, Running};
use apisec_tests::watch::is_attached;
use apisec_tests::{client, eventually};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(30);
const LIVE: [&str; 5] = ["live", "--headless", "--no-state", "--output", "json"];
/// The user and group `nobody`, who has no rights on any Linux.
const NOBODY: u32 = 65534;

#[test]
fn without_rights_it_says_what_to_do() {
    if !have_root("circumstances::without_rights_it_says_what_to_do") {
        return;
    }
    let (_folder, program) = for_everyone();
    let mut command = Command::new(program);
    command.args(LIVE).args(["--duration", "1s"]).uid(NOBODY).gid(NOBODY);
    let run = Running::start_command(command).unwrap().wait(PATIENCE).unwrap();
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stdout.is_empty(), "{run:?}");
    for advice in ["sudo", "CAP_BPF", "replay"] {
        assert!(run.stderr.contains(advice), "no word of {advice}: {run:?}");
    }
}

#[test]
fn nothing_stays_in_the_kernel_however_it_ends() {
    if !have_root("circumstances::nothing_stays_in_the_kernel_however_it_ends") {
        return;
    }
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let running = Running::start(&LIVE).unwrap();
        let ids = attached(&running);
        running.process().signal(signal).unwrap();
        running.wait(PATIENCE).unwrap();
        let what = format!("the end of the programs {ids:?} after {signal:?}");
        eventually(&what, PATIENCE, || ids.is_disjoint(&loaded()).then_some(())).unwrap();
    }
    let pins = fs::read_dir("/sys/fs/bpf").map_or(0, |pins| {
        pins.filter(|pin| pin.as_ref().is_ok_and(|p| p.file_name().to_string_lossy().starts_with("apisec")))
            .count()
    });
    assert_eq!(pins, 0, "something is pinned");
}

#[test]
fn two_instances_see_the_same() {
    let name = "circumstances::two_instances_see_the_same";
    if !have_root(name) || !have_programs(name, &["nginx", "curl"]) {
        return;
    }
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let both = [Running::start(&LIVE).unwrap(), Running::start(&LIVE).unwrap()];
    for running in &both {
        attached(running);
    }
    for number in 0..5 {
        client::curl(&[&format!("{}/two-instances/{number}", nginx.url())]).unwrap();
    }
    nginx.log_of(5).unwrap();
    for running in both {
        let run = running.interrupt(PATIENCE).unwrap();
        let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let endpoints = document["endpoints"].as_array().unwrap();
        let ours =
            endpoints.iter().filter(|e| e["path"].as_str().is_some_and(|p| p.starts_with("/two-instances")));
        assert_eq!(ours.map(|e| e["calls"].as_u64().unwrap()).sum::<u64>(), 5, "{document}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_to_report() {
    let name = "circumstances::a_reader_that_goes_away_is_no_failure_to_report";
    if !have_root(name) {
        return;
    }
    let tool = tool::apisec_top().unwrap();
    let line = format!("'{}' {} --duration 1s | true", tool.display(), LIVE.join(" "));
    let run = Command::new("bash").args(["-c", &line]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_state_folder_that_cannot_be_written_is_said_and_no_hindrance() {
    if !have_root("circumstances::a_state_folder_that_cannot_be_written_is_said_and_no_hindrance") {
        return;
    }
    // Nobody can make a folder in /proc, not even root.
    let arguments =
        ["live", "--headless", "--output", "json", "--duration", "1s", "--state", "/proc/apisec-top"];
    let document = tool::run(&arguments, PATIENCE).unwrap().json().unwrap();
    let degradations = document["capture"]["degradations"].to_string();
    assert!(degradations.contains("/proc/apisec-top"), "{degradations}");
}

/// A copy of the tool that every user may run, wherever the tree itself is.
fn for_everyone() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("apisec-top");
    fs::copy(tool::apisec_top().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, program)
}

/// Waits until the tool has attached its programs, and returns their ids.
fn attached(running: &Running) -> BTreeSet<u32> {
    let id = running.process().id();
    let mut last = BTreeSet::new();
    eventually("programs in the kernel", PATIENCE, || {
        let now = held(id);
        let settled = now == last && links(id) > 0 && is_attached(id).unwrap_or(false);
        last = now;
        settled.then(|| last.clone())
    })
    .unwrap()
}

/// Ids of the programs that a process holds open.
fn held(process: u32) -> BTreeSet<u32> {
    let field = |text: &str| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
    descriptors(process).iter().filter_map(|text| field(text)).collect()
}

fn links(process: u32) -> usize {
    descriptors(process).iter().filter(|text| text.contains("link_type:")).count()
}

fn descriptors(process: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fdinfo")) else { return Vec::new() };
    entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok()).collect()
}

/// Ids of all programs in the kernel.
fn loaded() -> BTreeSet<u32> {
    aya::programs::loaded_programs().filter_map(Result::ok).map(|program| program.id()).collect()
}
