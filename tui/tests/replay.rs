//! A capture file through the whole program: what comes out, in every format, and what is said about it.

#![expect(clippy::unwrap_used, reason = "a test helper that fails should fail the test")]

#[path = "replay/capture.rs"]
mod capture;

use capture::Capture;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_apisec-top");

/// 20 answered calls of two endpoints, 3 of them errors, and one that nobody answered.
fn shop(folder: &Path) -> PathBuf {
    let mut capture = Capture::default();
    for number in 0..12 {
        capture.exchange(&format!("GET /users/{} HTTP/1.1\r\nHost: shop\r\n\r\n", 1000 + number), 200);
    }
    for number in 0..8 {
        capture.exchange(
            "POST /cart HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\n{}",
            if number < 3 { 500 } else { 201 },
        );
    }
    capture.request("GET /never-answered HTTP/1.1\r\nHost: shop\r\n\r\n");
    let path = folder.join("shop.pcap");
    std::fs::write(&path, capture.file()).unwrap();
    path
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).args(["--state".as_ref(), folder.join("state").as_os_str()]);
    command.stdin(Stdio::null()).env_clear().env("HOME", folder);
    command
}

fn replay(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = shop(folder.path());
    let mut all = vec!["replay", file.to_str().unwrap()];
    all.extend(arguments);
    program(folder.path(), &all).output().unwrap()
}

fn stdout(arguments: &[&str]) -> String {
    let output = replay(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn schema(of: &str) -> jsonschema::Validator {
    let output = Command::new(PROGRAM).args(["print", "schema", of]).output().unwrap();
    jsonschema::validator_for(&serde_json::from_slice(&output.stdout).unwrap()).unwrap()
}

#[test]
fn json_keeps_its_schema_and_counts_every_call() {
    let object: Value = serde_json::from_str(&stdout(&["--output", "json"])).unwrap();
    let problems: Vec<String> = schema("json").iter_errors(&object).map(|error| error.to_string()).collect();
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(object["schema"], "apisec-top/1");
    assert_eq!(object["capture"]["calls"], 21);
    assert!(
        object["window"]["start"].as_str().unwrap().starts_with("2026-01-02T03:04:05"),
        "{}",
        object["window"]
    );
    let endpoints = object["endpoints"].as_array().unwrap();
    let count = |method: &str, path: &str| {
        endpoints.iter().find(|endpoint| endpoint["method"] == method && endpoint["path"] == path).unwrap()
    };
    let cart = count("POST", "/cart");
    assert_eq!((&cart["calls"], &cart["errors"]), (&8.into(), &3.into()));
    assert_eq!(cart["statuses"], serde_json::json!({"201": 5, "500": 3}));
    assert_eq!(count("GET", "/never-answered")["unanswered"], 1);
    let users: u64 = endpoints
        .iter()
        .filter(|e| e["path"].as_str().unwrap().starts_with("/users/"))
        .map(|e| e["calls"].as_u64().unwrap())
        .sum();
    assert_eq!(users, 12);
}

#[test]
fn every_line_of_ndjson_keeps_its_schema() {
    let schema = schema("ndjson");
    let text = stdout(&["--output", "ndjson"]);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 21);
    for line in &lines {
        assert!(schema.is_valid(line), "{line}");
    }
    assert_eq!(lines.iter().filter(|line| line["status"] == 500).count(), 3);
    assert_eq!(lines.iter().filter(|line| line["status"].is_null()).count(), 1);
}

#[test]
fn a_tail_ends_with_its_totals() {
    let output = replay(&["--output", "ndjson"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let stats: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&stats["calls"], &stats["written"], &stats["dropped"]), (&21.into(), &21.into(), &0.into()));
}

#[test]
fn the_table_is_for_people() {
    let text = stdout(&[]);
    for expected in ["21 calls", "/cart", "Endpoints", "3   38%"] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_filter_takes_rows_and_leaves_totals() {
    let lines = stdout(&["--output", "ndjson", "--filter", "status>=500"]);
    assert_eq!(lines.lines().count(), 3);
    let object: Value =
        serde_json::from_str(&stdout(&["--output", "json", "--filter", "path:/cart"])).unwrap();
    assert!(schema("json").is_valid(&object));
    assert_eq!(object["endpoints"].as_array().unwrap().len(), 1);
    assert_eq!(object["capture"]["calls"], 21);
    assert_eq!(object["capture"]["filter"], "path:/cart");
    assert!(stdout(&["--filter", "path:/cart"]).contains("rows filtered by: path:/cart"));
}

#[test]
fn a_filter_that_is_no_filter_is_a_usage_error() {
    let output = replay(&["--filter", "status>=("]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("the filter is not understood"), "{stderr}");
}

#[test]
fn a_recording_replays_to_the_same_calls() {
    let folder = tempfile::tempdir().unwrap();
    let file = shop(folder.path());
    let session = folder.path().join("shop.apisec");
    let (file, session) = (file.to_str().unwrap(), session.to_str().unwrap());
    let first = program(folder.path(), &["replay", file, "--record", session, "--output", "ndjson"])
        .output()
        .unwrap();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let second = program(folder.path(), &["replay", session, "--output", "ndjson"]).output().unwrap();
    assert_eq!(String::from_utf8(first.stdout), String::from_utf8(second.stdout));
    let again = program(folder.path(), &["replay", file, "--record", session]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8(again.stderr).unwrap().contains("exists"));
}

#[test]
fn a_file_that_is_none_is_named_with_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "just some text\n").unwrap();
    for (file, expected) in [(file.to_str().unwrap(), "is text"), ("/nonexistent.pcap", "check the path")] {
        let output = program(folder.path(), &["replay", file]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn a_recording_that_has_no_room_is_said_before_the_run() {
    let output = replay(&["--record", "/nonexistent/folder/x.apisec"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("make the folder first"), "{stderr}");
}

#[test]
fn a_full_disk_under_the_output_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = shop(folder.path());
    for format in ["json", "ndjson", "table"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let arguments = ["replay", file.to_str().unwrap(), "--output", format];
        let output = program(folder.path(), &arguments).stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}: {stderr}");
        assert!(stderr.contains("free some space"), "{format}: {stderr}");
    }
}

#[test]
fn a_reader_that_had_enough_is_a_quiet_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = shop(folder.path());
    for format in ["json", "ndjson", "table"] {
        let arguments = ["replay", file.to_str().unwrap(), "--output", format];
        let mut command = program(folder.path(), &arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_pipe_that_stays_open_is_read_until_the_duration_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(shop(folder.path())).unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, &bytes).unwrap();
    let mut command = program(folder.path(), &["replay", "-", "--duration", "700ms", "--output", "json"]);
    let output = command.stdin(reader).output().unwrap();
    drop(writer);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["capture"]["calls"], 21);
}

#[test]
fn an_interrupted_replay_prints_what_it_has_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(shop(folder.path())).unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, &bytes).unwrap();
    let mut command = program(folder.path(), &["replay", "-", "--output", "ndjson"]);
    let mut child = command.stdin(reader).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // A line on its way out proves that it runs.
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 1];
    stdout.read_exact(&mut first).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.ends_with('\n'));
    drop(writer);
}

/// The shop of the demo, as it was recorded, against what it documents of itself.
fn drifting(more: &[&str]) -> Output {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo");
    let (session, specs) = (demo.join("sessions/shop.apisec"), demo.join("openapi"));
    let folder = tempfile::tempdir().unwrap();
    let mut all = vec!["replay", session.to_str().unwrap(), "--spec", specs.to_str().unwrap()];
    all.extend(more);
    program(folder.path(), &all).output().unwrap()
}

#[test]
fn what_the_shop_hides_is_found_and_nothing_else() {
    let output = drifting(&["--output", "json", "--filter", "drift:shadow"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let mut shadows: Vec<String> = found["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| {
            let service = text(own, "service").split(':').nth(1).unwrap().to_owned();
            format!("{service} {} {}", text(own, "method"), text(own, "path"))
        })
        .collect();
    shadows.retain(|name| !name.starts_with("gateway"));
    let expected = [
        "cart DELETE /api/cart/{cart}/items/{n}",
        "catalog POST /api/admin/products/import",
        "orders GET /api/admin/reports/{date}",
        "orders GET /api/orders/export",
        "payments GET /api/payments/{id:ulid}",
        "users PUT /api/users/{user}",
    ];
    assert_eq!(shadows, expected);
    assert_eq!(found["specifications"].as_array().unwrap().len(), 7);
    assert_eq!(found["inventory"]["deprecated_in_use"], 3);
}

#[test]
fn a_gate_fails_with_its_own_code_and_prints_sarif() {
    let output = drifting(&["--fail-on", "shadow,deprecated"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let of = |rule: &str| results.iter().filter(|result| result["ruleId"] == rule).count();
    assert_eq!((of("drift/shadow"), of("drift/deprecated"), of("drift/orphan")), (13, 3, 3));
    let passed = drifting(&["--fail-on", "zombie"]);
    assert_eq!(passed.status.code(), Some(0));
}

#[test]
fn the_inventory_of_a_named_folder_outlives_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = shop(folder.path());
    let run = |arguments: &[&str]| {
        let output = program(folder.path(), arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for _ in 0..2 {
        run(&["replay", file.to_str().unwrap(), "--output", "json"]);
    }
    let listed: Vec<Value> = run(&["inventory", "list", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let calls =
        |path: &str| listed.iter().find(|row| row["path"] == path).map(|row| row["calls"].as_u64().unwrap());
    assert_eq!((calls("/users/{id:int}"), calls("/cart"), listed.len()), (Some(24), Some(16), 3));
    run(&["inventory", "prune", "--idle", "1h"]);
    assert_eq!(run(&["inventory", "list"]), "");
}

/// Times that the program is killed; `APISEC_KILLS` asks for more.
const KILLS: u64 = 10;

#[test]
fn a_run_that_is_killed_while_it_writes_adds_all_that_it_saw_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = shop(folder.path());
    let arguments = ["replay", file.to_str().unwrap(), "--output", "json"];
    let log = folder.path().join("state/inventory.sqlite-wal");
    let kills = std::env::var("APISEC_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let (mut killed, mut before) = (0, 0);
    for kill in 0..kills {
        let mut child = program(folder.path(), &arguments).stdout(Stdio::null()).spawn().unwrap();
        // So many pages of its write-ahead log are there.
        let pages = || std::fs::metadata(&log).map_or(0, |log| log.len() / 4_096);
        while child.try_wait().unwrap().is_none() && pages() <= kill % 20 {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        killed += u64::from(child.wait().unwrap().code().is_none());
        let listed = program(folder.path(), &["inventory", "list", "--json"]).output().unwrap();
        let rows: Vec<Value> = String::from_utf8(listed.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let total: u64 = rows.iter().map(|row| row["calls"].as_u64().unwrap()).sum();
        assert!(total.is_multiple_of(21) && total >= before, "{rows:#?}");
        before = total;
    }
    assert!(killed > 0, "every run was over before it could be killed");
    assert!(program(folder.path(), &arguments).output().unwrap().status.success());
    let listed = program(folder.path(), &["inventory", "list", "--json"]).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), 3);
}

#[test]
fn a_colleagues_inventory_is_taken_over_once_however_often_and_one_program_writes() {
    let folders = ["ours", "theirs"].map(|name| tempfile::Builder::new().prefix(name).tempdir().unwrap());
    let [ours, theirs] = folders.each_ref().map(|folder| folder.path());
    let run = |folder: &Path, arguments: &[&str]| {
        let output = program(folder, arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for folder in [ours, theirs] {
        run(folder, &["replay", shop(folder).to_str().unwrap(), "--output", "json"]);
    }
    let other = theirs.join("state");
    let merge = ["inventory", "merge", other.to_str().unwrap()];
    for _ in 0..2 {
        assert!(run(ours, &merge).starts_with("3 endpoints taken from "));
    }
    let calls = |folder: &Path| -> Vec<u64> {
        let listed = run(folder, &["inventory", "list", "--json"]);
        let row = |line: &str| serde_json::from_str::<Value>(line).unwrap()["calls"].as_u64().unwrap();
        listed.lines().map(row).collect()
    };
    let own = calls(theirs);
    assert_eq!((calls(ours), own.iter().sum::<u64>()), (own.iter().map(|calls| calls * 2).collect(), 21));

    let state = ours.join("state");
    let writer = apisec_probe::store::inventory::Inventory::write(&state).unwrap();
    let second = program(ours, &merge).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    let who = format!("process {} writes it", std::process::id());
    assert!(said.contains(&who) && said.contains("end it first: one program writes at a time"), "{said}");
    let replayed = run(ours, &["replay", shop(ours).to_str().unwrap(), "--output", "json"]);
    let snapshot: Value = serde_json::from_str(&replayed).unwrap();
    let said = snapshot["capture"]["degradations"].as_array().unwrap();
    assert!(said.iter().any(|own| own["what"].as_str().unwrap().contains(&who)), "{said:#?}");
    drop(writer);
}

/// Every service of the demo: what is exported of it and loaded back makes all of it active.
#[test]
fn the_shop_exported_and_loaded_back_is_active() {
    let session = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/sessions/shop.apisec");
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let all = [&["replay", session.to_str().unwrap()], arguments].concat();
        String::from_utf8(program(folder.path(), &all).output().unwrap().stdout).unwrap()
    };
    let specs = folder.path().join("specs");
    std::fs::create_dir(&specs).unwrap();
    for (number, document) in run(&["--output", "openapi"]).lines().enumerate() {
        std::fs::write(specs.join(format!("{number}.json")), document).unwrap();
    }
    let after: Value =
        serde_json::from_str(&run(&["--spec", specs.to_str().unwrap(), "--output", "json"])).unwrap();
    assert!(after["specifications"].as_array().unwrap().len() >= 7);
    let endpoints = after["endpoints"].as_array().unwrap().iter();
    let other: Vec<String> = endpoints
        .filter(|own| own["drift"] != "active")
        .map(|own| format!("{} {} {} {}", own["drift"], own["service"], own["method"], own["path"]))
        .collect();
    assert!(other.iter().all(|own| own.contains("\"/favicon.ico\"")), "{other:#?}");
}
