//! What was found, what the operator said of it and what rang the bell, through a real end and a real start of the program.

use std::fs;
use std::path::Path;
use std::process::Command;

use apisec_engine::detect::DETECTORS;
use apisec_tests::client::curl;
use apisec_tests::server::python;
use apisec_tests::tool;

use super::screen::{Screen, can_run_live};

/// The detector whose finding it is; the others look elsewhere, where other tests are.
const ONLY: &str = "auth-expired";
/// A token of `ada` that ended in 2001, with a signature that nobody checks.
const TOKEN: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjEwMDAwMDAwMDB9.c2lnbmF0dXJlLXRoYXQtaXMtbm9uZQ";

#[test]
fn what_was_said_of_a_finding_outlives_the_program() {
    let name = "frame::what_was_said_of_a_finding_outlives_the_program";
    if !can_run_live(name) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = python(&[("data.json", "{}")]).unwrap();
    let call = || {
        let bearer = format!("Authorization: Bearer {TOKEN}");
        curl(&["-s", "-H", &bearer, &format!("{}/data.json", server.url())]).unwrap();
    };
    let command = command(folder.path());
    let first = Screen::start_command(140, 30, &command, "LIVE");
    first.press("9");
    first.until("the finding", |text| {
        call();
        row(text).is_some_and(|row| row.contains("high") && row.contains(" new "))
    });
    // The flag is the window's, and nobody has looked at it.
    first.until("the bell", |_| first.terminal.figure("window_bell_flag").unwrap() == "1");
    first.press_until("a", "that somebody looks", |text| {
        row(text).is_some_and(|row| row.contains("acknowledged"))
    });
    first.press("q");
    first.until_restored();
    drop(first);

    let second = Screen::start_command(140, 30, &command, "LIVE");
    second.press("9");
    second.until("the finding of before", |text| row(text).is_some_and(|row| row.contains("acknowledged")));
    // It goes on, and is still no news.
    let calls = |text: &str| text.contains("/data.json");
    second.press("4");
    second.until("a call", |text| {
        call();
        calls(text)
    });
    call();
    second.press("9");
    second.until("the finding, as it was", |text| row(text).is_some_and(|row| row.contains("acknowledged")));
    assert_eq!(second.terminal.figure("window_bell_flag").unwrap(), "0", "it rang before");
    second.press("q");
    second.until_restored();
}

/// The row of the finding.
fn row(text: &str) -> Option<&str> {
    text.lines().find(|line| line.contains("an expired token"))
}

fn command(folder: &Path) -> Command {
    let config = folder.join("config.toml");
    let others = DETECTORS.iter().map(|detector| detector.about().id).filter(|id| *id != ONLY);
    let silent: String = others.map(|id| format!("[detect.{id}]\nenabled = false\n")).collect();
    fs::write(&config, format!("bell = \"high\"\n{silent}")).unwrap();
    let state = folder.join("state");
    tool::command(&["live", "--state", state.to_str().unwrap(), "--config", config.to_str().unwrap()])
        .unwrap()
}
