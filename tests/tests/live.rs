//! The tool on this machine's kernel, with real servers and clients, counted against their own logs.
//!
//! Every test runs the real program as root beside whatever else the node does, and looks for its own marks.

mod accounting;
mod addresses;
mod blind;
mod cluster;
mod companions;
mod dialects;
mod dismissal;
mod documented;
mod endings;
mod grpc;
mod hostile;
mod http2;
mod io_paths;
mod metrics;
mod newcomers;
mod overload;
mod peers;
mod public;
mod residue;
mod samples;
mod standing;
mod tls;
mod workloads;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::skip::{have_programs, have_root};

/// Whether the test `live::{name}` can run here; it is recorded as skipped otherwise.
fn can_run(name: &str, programs: &[&str]) -> bool {
    let name = format!("live::{name}");
    have_root(&name) && have_programs(&name, programs)
}

/// Runs a program to its end.
#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// How often each was seen.
fn tally(items: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    items.into_iter().for_each(|item| *tally.entry(item).or_default() += 1);
    tally
}

/// Protocol, method, path, status and what gRPC answered.
fn told(call: &NdjsonCall) -> String {
    let status = call.status.map_or("-".to_owned(), |status| status.to_string());
    let app = call.app_status.map_or(String::new(), |status| format!(" {status}"));
    format!("{} {} {} {status}{app}", call.protocol, call.method, call.path)
}

/// How often each path was called.
fn paths(calls: &[NdjsonCall]) -> BTreeMap<&str, usize> {
    let mut paths = BTreeMap::new();
    for call in calls {
        *paths.entry(call.path.as_str()).or_default() += 1;
    }
    paths
}

/// Fails unless there is exactly one call of each of `expected`, and no other.
#[track_caller]
fn each_once(calls: &[NdjsonCall], expected: impl IntoIterator<Item = String>) {
    let expected: BTreeMap<String, usize> = expected.into_iter().map(|path| (path, 1)).collect();
    let expected: BTreeMap<&str, usize> = expected.iter().map(|(path, n)| (path.as_str(), *n)).collect();
    let seen = paths(calls);
    let missing: Vec<_> = expected.keys().filter(|path| !seen.contains_key(*path)).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), expected.len());
    let odd: Vec<_> = seen.iter().filter(|(path, n)| expected.get(*path) != Some(*n)).collect();
    assert!(odd.is_empty(), "seen too often or never asked for: {odd:?}");
}

/// Caller and callee of every call, each pair once.
fn pairs(calls: &[NdjsonCall]) -> Vec<(&str, &str)> {
    let mut pairs: Vec<_> = calls.iter().map(|call| (call.src.as_str(), call.dst.as_str())).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}
