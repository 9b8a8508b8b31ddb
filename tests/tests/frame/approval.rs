//! What the operator approves is documented from then on, in the runs that follow, until it is taken back in one of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use apisec_tests::skip::have_programs;
use apisec_tests::tool;
use serde_json::Value;

use super::screen::{PATIENCE, Screen};

const SESSION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/sessions/shop.apisec");
const SPECIFICATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/openapi");

/// The operations of the recorded shop with a state: service, method and path.
fn with(state: &str, folder: &str) -> Vec<String> {
    let arguments =
        ["replay", SESSION, "--headless", "--output", "json", "--spec", SPECIFICATIONS, "--state", folder];
    let snapshot = tool::run(&arguments, PATIENCE).unwrap().json().unwrap();
    let all = snapshot["endpoints"].as_array().unwrap().iter().filter(|own| own["drift"] == state);
    let name = |own: &Value| {
        let text = |key: &str| own[key].as_str().unwrap().to_owned();
        format!("{} {} {}", text("service"), text("method"), text("path"))
    };
    all.map(name).collect()
}

/// Shows the view Drift of a run that keeps its state in `folder`, and presses these keys, each until something is said.
fn press(folder: &str, keys: &[(&str, &str)]) {
    let arguments = ["replay", SESSION, "--spec", SPECIFICATIONS, "--state", folder];
    let screen = Screen::start(120, 30, &arguments, "REPLAY");
    screen.press_until("5", "the view", |text| text.contains("─ Drift ─") && text.contains("shadow 1"));
    for (key, said) in keys {
        screen.press_until(key, said, |text| text.contains(said));
    }
    screen.press("q");
    screen.until_restored();
}

/// A second person reads the folder, and changes nothing by it: what was approved and what was found is there, in order.
fn handed_over(folder: &str, approved: &str) {
    let files = || {
        let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let all = all.filter(|entry| entry.file_type().unwrap().is_file());
        let stamp = |entry: fs::DirEntry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap());
        // What SQLite's readers share among them is no part of the inventory.
        let is_shared =
            |name: &OsString| ["-shm", "-wal"].iter().any(|end| name.to_string_lossy().ends_with(end));
        all.map(stamp).filter(|(name, _)| !is_shared(name)).collect::<BTreeMap<_, _>>()
    };
    let before = files();
    let arguments =
        ["replay", folder, "--read-only", "--headless", "--output", "json", "--spec", SPECIFICATIONS];
    let shown = tool::run(&arguments, PATIENCE).unwrap().json().unwrap();
    let changes = shown["changes"].as_array().unwrap();
    let named = |own: &Value| approved.ends_with(own["name"].as_str().unwrap());
    assert!(changes.iter().any(|own| own["what"] == "approved" && named(own)), "{changes:#?} {approved}");
    assert!(!shown["findings"].as_array().unwrap().is_empty(), "what was found in the run is handed over");
    let report = tool::run(&["export", "report", "--format", "md", "--state", folder], PATIENCE).unwrap();
    let rows = report.stdout.lines().skip_while(|line| !line.contains("What happened")).skip(4);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    let times: Vec<&str> = rows.iter().filter_map(|row| row.split(" | ").next()).collect();
    assert!(times.is_sorted() && rows.len() > changes.len(), "{rows:#?}");
    assert!(rows.iter().any(|row| row.contains("| change |") && row.contains("approved")), "{rows:#?}");
    assert!(rows.iter().any(|row| row.contains("| finding |")), "{rows:#?}");
    assert_eq!(files(), before, "nothing was changed by looking");
}

#[test]
fn an_approved_shadow_is_active_until_it_is_taken_back() {
    if !have_programs("frame::an_approved_shadow_is_active_until_it_is_taken_back", &["tmux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let before = with("shadow", folder);
    assert_eq!(before.len(), 13, "{before:?}");
    // The first of the list is a shadow with more calls than the others.
    press(folder, &[("a", "is documented from now on"), ("Enter", "documented in ")]);
    let after = with("shadow", folder);
    let gone: Vec<&String> = before.iter().filter(|own| !after.contains(own)).collect();
    let [approved] = gone.as_slice() else { panic!("{before:?} {after:?}") };
    assert!(after.len() == 12 && with("active", folder).contains(approved), "{approved} {after:?}");
    handed_over(folder, approved);
    press(folder, &[("u", "is taken back")]);
    assert_eq!(with("shadow", folder), before);
}
