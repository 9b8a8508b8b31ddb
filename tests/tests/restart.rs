//! A restart: what was found, with its calls, and what the operator said of it on a real terminal is there again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use apisec_tests::deadline::eventually;
use apisec_tests::skip::have_programs;
use apisec_tests::terminal::Terminal;
use apisec_tests::tool;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

fn recorded(folder: &Path, arguments: &[&str]) -> PathBuf {
    let file = folder.join(format!("{}.pcap", arguments[0]));
    let output =
        Command::new(tool::shop().unwrap()).arg("record").args(arguments).arg("--out").arg(&file).output();
    assert!(output.unwrap().status.success());
    file
}

#[test]
fn findings_and_what_was_said_of_them_are_there_again() {
    if !have_programs("restart::findings_and_what_was_said_of_them_are_there_again", &["tmux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (attack, quiet) =
        (recorded(folder.path(), &["enumeration"]), recorded(folder.path(), &["none", "--before=5"]));
    let state = folder.path().join("state");
    let arguments = ["--state", state.to_str().unwrap()];

    let command = tool::command(&[&["replay", attack.to_str().unwrap()], &arguments[..]].concat()).unwrap();
    let terminal = Terminal::start(160, 50, &command).unwrap();
    terminal.until("a picture", PATIENCE, |text| text.contains("─ Services ─")).unwrap();
    let found = || {
        terminal.keys(&["9"]).ok()?;
        terminal
            .screen()
            .ok()
            .filter(|text| text.contains("─ Findings ─") && text.contains("one identity reads"))
    };
    eventually("a finding on the screen", PATIENCE, found).unwrap();
    let kept = state.join("findings.json");
    let said = || {
        terminal.type_text("a").ok()?;
        let text = std::fs::read_to_string(&kept).ok()?;
        text.contains("\"acknowledged\"").then_some(())
    };
    eventually("what was said on the disk", PATIENCE, said).unwrap();
    drop(terminal);

    let run =
        [&["replay", quiet.to_str().unwrap(), "--headless", "--output", "json"], &arguments[..]].concat();
    let document = tool::run(&run, PATIENCE).unwrap().json().unwrap();
    let findings = document["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["detector"] == "bola-enumeration").unwrap();
    assert_eq!(finding["state"]["is"], "acknowledged", "{finding:#}");
    let calls = finding["calls"].as_array().unwrap();
    let whole = |call: &Value| call["method"] == "GET" && call["path"].as_str().unwrap().starts_with('/');
    assert!(!calls.is_empty() && calls.iter().all(whole), "{calls:#?}");
    let events = finding["timeline"].as_array().unwrap();
    assert!(events.len() >= 2, "{events:#?}");
}
