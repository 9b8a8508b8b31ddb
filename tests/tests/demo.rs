//! `apisec-top demo`: live where it can be, a recording that says so where it cannot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use apisec_tests::skip::have_root;
use apisec_tests::tool::{self, Running};

const PATIENCE: Duration = Duration::from_secs(180);
const DEMO: [&str; 6] = ["demo", "--headless", "--duration", "5s", "--output", "json"];
/// The user and group `nobody`, who has no rights on any Linux.
const NOBODY: u32 = 65534;

#[test]
fn as_root_it_is_live() {
    if !have_root("demo::as_root_it_is_live") {
        return;
    }
    let run = tool::run(&DEMO, PATIENCE).unwrap();
    assert!(!run.stderr.contains("REPLAY"), "{run:?}");
    let document = run.json().unwrap();
    assert_eq!(document["capture"]["source"].as_str().unwrap().split(' ').next(), Some("live"), "{document}");
    assert!(document["capture"]["calls"].as_u64().unwrap() > 50, "{document}");
    // Five services that call each other, at least.
    let callees: std::collections::BTreeSet<_> =
        document["edges"].as_array().unwrap().iter().map(|edge| edge["dst"].as_str().unwrap()).collect();
    assert!(callees.len() >= 5, "{callees:?}");
}

#[test]
fn without_rights_it_replays_and_says_so_first() {
    if !have_root("demo::without_rights_it_replays_and_says_so_first") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = |from: &Path| {
        let to = folder.path().join(from.file_name().unwrap());
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        to
    };
    let program = copy(&tool::apisec_top().unwrap());
    copy(&tool::shop().unwrap());
    let mut command = Command::new(program);
    command.args(DEMO).uid(NOBODY).gid(NOBODY).current_dir("/").env("HOME", "/nonexistent");
    let run = Running::start_command(command).unwrap().wait(PATIENCE).unwrap();
    assert!(run.stderr.starts_with("REPLAY"), "{run:?}");
    let document = run.json().unwrap();
    assert!(document["capture"]["calls"].as_u64().unwrap() > 50, "{document}");
    assert!(!document["capture"]["source"].as_str().unwrap().starts_with("live"), "{document}");
}
