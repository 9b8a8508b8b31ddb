//! Who an identity is can be seen once, while a dialog is open: it is in no file and no longer on the screen afterwards.

use std::path::Path;
use std::{fs, process};

use apisec_tests::client::curl;
use apisec_tests::server::python;
use apisec_tests::tool;

use super::screen::{Screen, can_run_live};

#[test]
fn an_identity_is_revealed_for_one_dialog() {
    let name = "frame::an_identity_is_revealed_for_one_dialog";
    if !can_run_live(name) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let key = format!("key-of-ada-{}", process::id());
    let server = python(&[("data.json", "{}")]).unwrap();
    let call =
        || curl(&["-s", "-H", &format!("X-Api-Key: {key}"), &format!("{}/data.json", server.url())]).unwrap();
    let screen = watch(state.path(), &format!(":{}", server.address().port()));
    screen.press("4");
    screen.until("a call with a name", |text| {
        call();
        assert!(!text.contains(&key), "{text}");
        text.contains("/data.json") && text.contains(" V reveal")
    });
    screen.press_until("V", "a question", |text| text.contains("─ Who is this ─") && !text.contains(&key));
    assert!(!audit(state.path()).contains("reveal"), "asking is not looking");
    screen.press("Enter");
    screen.until("the name", |text| {
        call();
        text.contains(&key)
    });
    screen.press_until("Escape", "no name", |text| !text.contains(&key) && !text.contains("─ Who is this ─"));
    // What comes after is as nameless as before, and nothing was written but that somebody looked.
    for _ in 0..3 {
        call();
        assert!(!screen.assert_sound("a call").contains(&key));
    }
    screen.press("q");
    screen.until_restored();
    assert!(!screen.terminal.screen().unwrap().contains(&key));
    let audit = audit(state.path());
    assert!(audit.lines().count() == 1 && audit.contains("\"reveal\""), "{audit}");
    for file in fs::read_dir(state.path()).unwrap().map(|file| file.unwrap().path()) {
        let bytes = if file.is_file() { fs::read(&file).unwrap() } else { Vec::new() };
        assert!(!bytes.windows(key.len()).any(|part| part == key.as_bytes()), "{}", file.display());
    }
}

/// The tool over one service, with a state folder of its own.
fn watch(state: &Path, service: &str) -> Screen {
    let filter = format!("service:*{service}");
    let command = tool::command(&["live", "--state", state.to_str().unwrap(), "--filter", &filter]).unwrap();
    Screen::start_command(120, 30, &command, "LIVE")
}

fn audit(state: &Path) -> String {
    fs::read_to_string(state.join("audit.log")).unwrap_or_default()
}
