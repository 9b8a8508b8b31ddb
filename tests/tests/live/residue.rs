//! However a run ends, nothing of it is left in the kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use apisec_tests::eventually;
use apisec_tests::held::Held;
use apisec_tests::tool::Running;
use apisec_tests::watch::Watch;
use rustix::process::Signal;

use super::can_run;

/// The kernel frees programs and maps after a grace period.
const FREED: Duration = Duration::from_secs(180);
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until the kernel has let go of everything, and fails with what it still has.
#[track_caller]
fn nothing_is_left(held: &Held, after: &str) {
    assert!(held.programs.len() >= 7 && held.links.len() >= 7 && held.maps.len() >= 4, "{held:?}");
    let gone = eventually("nothing left", FREED, || held.left().unwrap().is_empty().then_some(()));
    assert!(gone.is_ok(), "left after {after}: {:?} of {held:?}", held.left().unwrap());
}

/// Everything that is pinned anywhere below `/sys/fs/bpf` under a name that could be ours.
fn pins() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.to_string_lossy().contains("apisec") {
                found.push(path.clone());
            }
            if path.is_dir() {
                walk(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/bpf"), &mut found);
    found
}

#[test]
fn signals_leave_nothing() {
    if !can_run("residue::signals_leave_nothing", &[]) {
        return;
    }
    for (signal, code) in [(Signal::INT, 0), (Signal::TERM, 0), (Signal::HUP, 129), (Signal::KILL, 137)] {
        let watch = Watch::snapshot().unwrap();
        let held = watch.held().unwrap();
        assert_eq!(pins(), Vec::<PathBuf>::new(), "while it runs");
        let run = watch.end(signal).unwrap();
        assert_eq!(run.code(), code, "{signal:?}: {}", run.stderr);
        if code == 0 {
            run.json().unwrap();
        }
        nothing_is_left(&held, &format!("{signal:?}"));
    }
    assert_eq!(pins(), Vec::<PathBuf>::new());
}

#[test]
fn the_end_of_a_run_leaves_nothing() {
    if !can_run("residue::the_end_of_a_run_leaves_nothing", &[]) {
        return;
    }
    let watch = Watch::start(&["--output", "json", "--duration", "2s"]).unwrap();
    let held = watch.held().unwrap();
    let run = watch.wait().unwrap();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    nothing_is_left(&held, "the end of its time");
}

/// A run that fails after it has attached: what it holds is read while it is at it.
#[test]
fn a_run_that_fails_leaves_nothing() {
    if !can_run("residue::a_run_that_fails_leaves_nothing", &[]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("no such folder").join("record");
    let record = record.to_string_lossy();
    let command = ["live", "--headless", "--no-state", "--output", "json", "--record", &record];
    let running = Running::start(&command).unwrap();
    let pid = running.process().id();
    let mut held = Held::default();
    // It may well end before it attaches; then there was nothing to leave.
    let ended = eventually("its end", PATIENCE, || {
        let now = Held::by(pid).unwrap_or_default();
        let over = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z"));
        if now.programs.len() >= held.programs.len() {
            held = now;
        }
        over.then_some(())
    });
    ended.unwrap();
    let run = running.wait(PATIENCE).unwrap();
    assert_eq!(run.code(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("→"), "a failure says what to do: {}", run.stderr);
    eventually("nothing left", FREED, || held.left().unwrap().is_empty().then_some(())).unwrap();
}
