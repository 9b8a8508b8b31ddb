//! The dependency rule: `tui → probe, engine` · `probe → engine, proto, abi` · `engine → proto`.
//!
//! `deny.toml` says who may depend on a third-party crate; this says what a crate of ours may reach.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use apisec_tests::tool::workspace;
use serde_json::{Value, json};

/// For each crate of ours, the crates of ours that it may name in its `Cargo.toml`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("apisec-abi", &[]),
    ("apisec-probe-ebpf", &["apisec-abi"]),
    ("apisec-proto", &[]),
    ("apisec-engine", &["apisec-proto"]),
    ("apisec-probe", &["apisec-abi", "apisec-proto", "apisec-engine"]),
    ("apisec-top", &["apisec-probe", "apisec-engine"]),
    ("apisec-demo", &[]),
    ("apisec-tests", &["apisec-abi", "apisec-proto", "apisec-engine", "apisec-probe"]),
];

/// Crates that reach the outside world: not even indirectly in the pure crates.
const OUTSIDE_WORLD: &[&str] = &[
    "async-io",
    "aya",
    "crossterm",
    "getrandom",
    "hyper",
    "mio",
    "netlink-sys",
    "nix",
    "procfs",
    "rand",
    "ratatui",
    "reqwest",
    "rusqlite",
    "rustix",
    "socket2",
    "tempfile",
    "tokio",
    "tracing-subscriber",
    "zstd",
];
/// Crates without IO, clock, environment or threads.
const PURE: &[&str] = &["apisec-abi", "apisec-proto", "apisec-engine"];

/// What a package depends on when it is built, without what its tests use.
type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn our_crates_depend_strictly_downwards() {
    assert_eq!(upward_edges(&graph(&metadata())), [""; 0]);
}

#[test]
fn the_pure_crates_cannot_reach_the_outside_world() {
    let graph = graph(&metadata());
    for pure in PURE {
        let reached = reachable(&graph, pure);
        let outside: Vec<_> = OUTSIDE_WORLD.iter().filter(|name| reached.contains(**name)).collect();
        assert!(outside.is_empty(), "{pure} reaches {outside:?}");
    }
}

#[test]
fn an_upward_edge_is_found() {
    let mut graph = graph(&metadata());
    graph.get_mut("apisec-proto").unwrap().insert("apisec-engine".to_owned());
    graph.insert("apisec-new".to_owned(), BTreeSet::new());
    let found = upward_edges(&graph);
    assert_eq!(found, ["apisec-new has no rule", "apisec-proto may not use apisec-engine"]);
}

#[test]
fn a_development_dependency_is_no_edge() {
    let resolved = json!({"resolve": {"nodes": [{"id": "path+file:///x/proto#apisec-proto@0.1.0", "deps": [
        {"pkg": "registry+x#tempfile@3.0.0", "dep_kinds": [{"kind": "dev"}]},
        {"pkg": "registry+x#serde@1.0.0", "dep_kinds": [{"kind": null}, {"kind": "dev"}]}]}]}});
    assert_eq!(graph(&resolved)["apisec-proto"], BTreeSet::from(["serde".to_owned()]));
}

fn upward_edges(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (from, used) in graph.iter().filter(|(name, _)| name.starts_with("apisec-")) {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| name == from) else {
            found.push(format!("{from} has no rule"));
            continue;
        };
        let ours = used.iter().filter(|name| name.starts_with("apisec-"));
        let wrong = ours.filter(|name| !allowed.contains(&name.as_str()));
        found.extend(wrong.map(|to| format!("{from} may not use {to}")));
    }
    found
}

fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![from.to_owned()];
    while let Some(next) = todo.pop() {
        let used = graph.get(&next).into_iter().flatten();
        todo.extend(used.filter(|name| seen.insert((*name).clone())).cloned());
    }
    seen
}

/// What `cargo metadata` says about the workspace on this platform, without the network.
fn metadata() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let output = cargo.current_dir(workspace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn graph(metadata: &Value) -> Graph {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let is_built = |dependency: &&Value| {
        dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] != "dev")
    };
    let mut graph = Graph::new();
    for node in nodes {
        let used = node["deps"].as_array().unwrap().iter().filter(is_built).map(|d| package(&d["pkg"]));
        graph.entry(package(&node["id"])).or_default().extend(used);
    }
    graph
}

/// The name in a package id: `registry+…#name@1.0.0`, or `path+file:///…/name#1.0.0`.
fn package(id: &Value) -> String {
    let id = id.as_str().unwrap();
    let (path, fragment) = id.rsplit_once('#').unwrap();
    match fragment.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => path.rsplit('/').next().unwrap().to_owned(),
    }
}
