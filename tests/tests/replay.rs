//! Capture files through the real program: what it says must be what the server itself logged.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use apisec_tests::process::Process;
use apisec_tests::server::{Logged, Nginx, NginxSetup};
use apisec_tests::skip::{have_programs, have_root};
use apisec_tests::{client, eventually, tool};
use rustix::process::Signal;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(180);
const HEADLESS: [&str; 2] = ["--headless", "--no-state"];

#[test]
fn a_capture_of_nginx_agrees_with_its_log() {
    let name = "replay::a_capture_of_nginx_agrees_with_its_log";
    if !have_root(name) || !have_programs(name, &["nginx", "curl", "tcpdump"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (capture, logged) = captured_session(folder.path());
    let calls = replay(&capture, "ndjson").ndjson().unwrap();
    let seen: Vec<_> = calls.iter().map(told).collect();
    let expected: Vec<_> = logged.iter().map(said).collect();
    assert_eq!(sorted(seen), sorted(expected));
    for (call, line) in calls.iter().zip(&logged) {
        let ours = call["duration_us"].as_f64().unwrap() / 1e6;
        // The capture sees the request before nginx does and the answer after; both clocks tick in milliseconds.
        assert!((ours - line.request_time).abs() < 0.1, "{call} {line:?}");
    }

    let document = replay(&capture, "json").json().unwrap();
    assert_eq!(document["capture"]["calls"], logged.len());
    let endpoints = document["endpoints"].as_array().unwrap();
    assert_eq!(
        statuses(endpoints),
        logged.iter().fold(BTreeMap::new(), |mut sum, line| {
            *sum.entry(line.status.to_string()).or_insert(0) += 1;
            sum
        })
    );
}

#[test]
fn real_output_is_valid_by_the_printed_schema() {
    let name = "replay::real_output_is_valid_by_the_printed_schema";
    if !have_root(name) || !have_programs(name, &["nginx", "curl", "tcpdump"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (capture, _) = captured_session(folder.path());
    let schema = tool::run(&["print", "schema"], PATIENCE).unwrap().json().unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document = replay(&capture, "json").json().unwrap();
    let errors: Vec<_> = validator.iter_errors(&document).map(|e| e.masked().to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert!(!validator.is_valid(&serde_json::json!({"schema": 1})), "the schema accepts anything");
}

#[test]
fn a_file_that_is_no_capture_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "these are notes, not packets\n".repeat(100)).unwrap();
    for path in [path.as_path(), Path::new("/nonexistent.pcap")] {
        let run =
            tool::run(&["replay", path.to_str().unwrap(), "--headless", "--no-state"], PATIENCE).unwrap();
        assert_eq!(run.code(), 1, "{run:?}");
        assert!(run.stderr.contains(path.to_str().unwrap()), "{run:?}");
        assert!(run.stdout.is_empty(), "{run:?}");
    }
}

fn replay(capture: &Path, output: &str) -> tool::Run {
    let mut arguments = vec!["replay", capture.to_str().unwrap(), "--output", output];
    arguments.extend(HEADLESS);
    tool::run(&arguments, PATIENCE).unwrap()
}

/// Drives an nginx while tcpdump looks, and returns the capture file and nginx's log.
fn captured_session(folder: &Path) -> (std::path::PathBuf, Vec<Logged>) {
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let capture = folder.join("session.pcap");
    let mut tcpdump = start_tcpdump(&capture, nginx.address().port());
    let url = nginx.url();
    for arguments in [
        vec![format!("{url}/users/17"), format!("{url}/users/18")],
        vec!["--head".into(), format!("{url}/users/19")],
        vec!["--request".into(), "DELETE".into(), format!("{url}/orders/5")],
        vec!["--data".into(), "a=1".into(), format!("{url}/missing")],
        vec![
            "--header".into(),
            "Transfer-Encoding: chunked".into(),
            "--data".into(),
            "abc".into(),
            format!("{url}/x"),
        ],
        vec![format!("{url}/broken")],
        vec!["--http1.0".into(), format!("{url}/moved")],
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        client::curl(&arguments).unwrap();
    }
    let pipelined = "GET /items/1 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(5)
        + "GET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    client::say(nginx.address(), pipelined.as_bytes()).unwrap();
    let requests = 14;
    nginx.log_of(requests).unwrap();
    let mut size = 0;
    eventually("tcpdump has written everything", PATIENCE, || {
        // The last connection's end is the last thing on the wire; immediate mode writes it at once.
        let now = fs::metadata(&capture).ok()?.len();
        let settled = now == size && now > 0;
        size = now;
        settled.then_some(())
    })
    .unwrap();
    tcpdump.stop(Signal::INT).unwrap();
    let logged = nginx.finish().unwrap();
    assert_eq!(logged.len(), requests);
    (capture, logged)
}

fn start_tcpdump(capture: &Path, port: u16) -> Process {
    let mut command = Command::new("tcpdump");
    command.args(["-i", "lo", "-U", "--immediate-mode", "-s", "0", "-Z", "root", "-w"]).arg(capture);
    command.arg(format!("tcp port {port}")).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process::start(command).unwrap();
    // The file's header is written when the capture has begun.
    eventually("tcpdump listens", PATIENCE, || {
        fs::metadata(capture).is_ok_and(|m| m.len() >= 24).then_some(())
    })
    .unwrap();
    process
}

type Said = (String, String, u64, u64, u64);

/// Bytes of request bodies on the wire that nginx reads only to throw away, and does not count: by path.
const THROWN_AWAY: [(&str, usize); 2] = [("/missing", "a=1".len()), ("/x", "3\r\nabc\r\n0\r\n\r\n".len())];

fn said(line: &Logged) -> Said {
    let thrown_away =
        THROWN_AWAY.iter().find(|(path, _)| line.uri == *path).map_or(0, |(_, bytes)| *bytes as u64);
    let request_bytes = line.request_length + thrown_away;
    (line.method.clone(), line.uri.clone(), line.status.into(), request_bytes, line.bytes_sent)
}

fn told(call: &Value) -> Said {
    let text = |name: &str| call[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| call[name].as_u64().unwrap_or_default();
    (text("method"), text("path"), number("status"), number("request_bytes"), number("response_bytes"))
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort();
    all
}

fn statuses(endpoints: &[Value]) -> BTreeMap<String, u64> {
    let mut sum = BTreeMap::new();
    for (status, calls) in endpoints.iter().filter_map(|e| e["statuses"].as_object()).flatten() {
        *sum.entry(status.clone()).or_insert(0) += calls.as_u64().unwrap();
    }
    sum
}
