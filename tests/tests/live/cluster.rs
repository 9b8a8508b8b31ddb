//! Nodes watched through agents: namespaces on a bridge, a real agent in each, traffic between them.

use std::time::Duration;

use apisec_engine::snapshot::Snapshot;
use apisec_tests::eventually;
use apisec_tests::nodes::Nodes;
use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::watch::mark;

use super::can_run;

const PROGRAMS: &[&str] = &["nginx", "curl", "ip", "nsenter"];

fn nginx(nodes: &Nodes, node: usize) -> Nginx {
    let listen = Some((Nodes::address(node), 8080).into());
    Nginx::start(NginxSetup { listen, namespace: Some(&nodes.nodes[node]), ..NginxSetup::default() }).unwrap()
}

/// Every endpoint's service and calls: nothing else happens on these nodes.
fn calls(snapshot: &Snapshot) -> Vec<(String, u64)> {
    snapshot.endpoints.iter().map(|endpoint| (endpoint.service.clone(), endpoint.calls)).collect()
}

fn edges(snapshot: &Snapshot) -> Vec<(&str, &str, u64)> {
    snapshot.edges.iter().map(|edge| (edge.src.as_str(), edge.dst.as_str(), edge.calls)).collect()
}

#[test]
fn a_call_that_two_nodes_see_is_counted_once() {
    if !can_run("cluster::a_call_that_two_nodes_see_is_counted_once", PROGRAMS) {
        return;
    }
    let mark = mark("nodes");
    let nodes = Nodes::new().unwrap();
    let server = nginx(&nodes, 1);
    let watched = nodes.watch().unwrap();
    nodes.ask(0, &format!("{}{mark}", server.url()), 7).unwrap();
    nodes.ask(1, &format!("{}{mark}", server.url()), 4).unwrap();
    let snapshot = watched.end().unwrap();
    assert_eq!(calls(&snapshot), [("process:n1/nginx:8080".to_owned(), 11)], "{:?}", edges(&snapshot));
    let nginx = "process:n1/nginx:8080";
    let mut expected = vec![("process:n0/curl", nginx, 7), ("process:n1/curl", nginx, 4)];
    expected.sort_unstable();
    assert_eq!(edges(&snapshot), expected);
    assert_eq!(snapshot.capture.nodes.len(), 2);
    for node in &snapshot.capture.nodes {
        assert_eq!((node.lost, node.repeated, node.distrusted), (0, 0, 0), "{node:?}");
        assert!(node.reports > 0 && node.bytes > 0 && node.round_trip_us > 0, "{node:?}");
        assert!(node.skew_us.unsigned_abs() < 1_000_000 && !node.kernel.is_empty(), "{node:?}");
    }
}

#[test]
fn a_node_that_is_lost_comes_back_and_is_added_to_what_it_said_before() {
    let name = "cluster::a_node_that_is_lost_comes_back_and_is_added_to_what_it_said_before";
    if !can_run(name, PROGRAMS) {
        return;
    }
    let mark = mark("lost");
    let nodes = Nodes::new().unwrap();
    let server = nginx(&nodes, 1);
    let watched = nodes.watch().unwrap();
    nodes.ask(0, &format!("{}{mark}", server.url()), 3).unwrap();
    nodes.until_reported(1).unwrap();
    nodes.kill_agent(1).unwrap();
    nodes.until_attached().unwrap();
    nodes.ask(0, &format!("{}{mark}", server.url()), 5).unwrap();
    let snapshot = watched.end().unwrap();
    assert_eq!(calls(&snapshot), [("process:n1/nginx:8080".to_owned(), 8)]);
    let node = snapshot.capture.nodes.iter().find(|node| node.name == "n1").unwrap();
    assert_eq!((node.losses, node.calls, node.repeated), (1, 8, 0), "{node:?}");
    assert!(node.unheard_s > 0.0, "{node:?}");
}

#[test]
fn agents_end_by_themselves_when_whoever_watched_was_killed() {
    if !can_run("cluster::agents_end_by_themselves_when_whoever_watched_was_killed", PROGRAMS) {
        return;
    }
    let nodes = Nodes::new().unwrap();
    let watched = nodes.watch().unwrap();
    assert!(nodes.has_agent(0) && nodes.has_agent(1));
    watched.kill().unwrap();
    let gone = || (!nodes.has_agent(0) && !nodes.has_agent(1)).then_some(());
    eventually("no agent is left", Duration::from_secs(60), gone).unwrap();
}

#[test]
fn what_is_no_agent_is_told_with_what_it_said() {
    if !can_run("cluster::what_is_no_agent_is_told_with_what_it_said", &["sh"]) {
        return;
    }
    let arguments = ["cluster", "--headless", "--no-state", "--duration", "3s", "--node"];
    let mut all = arguments.to_vec();
    all.push("a=sh -c 'echo no such program >&2; exit 127'");
    let run = apisec_tests::tool::run(&all, Duration::from_secs(60)).unwrap();
    assert_eq!(run.code(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("no such program"), "{}", run.stderr);
}
