//! The fixtures themselves: a test that rests on a broken fixture proves nothing.

use std::process::Command;
use std::time::Duration;

use apisec_tests::netns::Pair;
use apisec_tests::server::{self, Nginx, NginxSetup};
use apisec_tests::skip::{have_programs, have_root};
use apisec_tests::terminal::Terminal;
use apisec_tests::{client, tool};

const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn nginx_accounts_for_every_request() {
    if !have_programs("fixtures::nginx_accounts_for_every_request", &["nginx", "curl"]) {
        return;
    }
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let body = client::curl(&[&format!("{}/users/7", nginx.url())]).unwrap();
    let two = b"GET /missing HTTP/1.1\r\nHost: x\r\n\r\nGET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = client::say(nginx.address(), two).unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("204 No Content"));
    assert_eq!(nginx.log_of(3).unwrap().len(), 3);
    let log = nginx.finish().unwrap();
    let seen: Vec<_> = log.iter().map(|l| (l.method.as_str(), l.uri.as_str(), l.status)).collect();
    assert_eq!(seen, [("GET", "/users/7", 200), ("GET", "/missing", 404), ("GET", "/empty", 204)]);
    assert_eq!(log[0].body_bytes_sent, body.len() as u64);
    assert_eq!(log[2].connection_requests, 2);
}

#[test]
fn python_serves_files() {
    if !have_programs("fixtures::python_serves_files", &["python3", "curl"]) {
        return;
    }
    let python = server::python(&[("hello.json", "{}")]).unwrap();
    assert_eq!(client::curl(&[&format!("{}/hello.json", python.url())]).unwrap(), b"{}");
}

#[test]
fn namespaces_reach_each_other_and_go_away() {
    let name = "fixtures::namespaces_reach_each_other_and_go_away";
    if !have_root(name) || !have_programs(name, &["ip", "nginx", "curl"]) {
        return;
    }
    let pair = Pair::new().unwrap();
    for address in [Pair::RIGHT, Pair::RIGHT_V6] {
        let listen = Some((address, 8080).into());
        let setup = NginxSetup { listen, namespace: Some(&pair.right), ..NginxSetup::default() };
        let nginx = Nginx::start(setup).unwrap();
        let output = pair.left.command("curl").args(["-s", &nginx.url()]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(nginx.finish().unwrap().len(), 1);
    }
    let left = pair.left.name().to_owned();
    drop(pair);
    let list = Command::new("ip").args(["netns", "list"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&list.stdout).contains(&left));
}

#[test]
fn a_terminal_shows_what_is_typed() {
    if !have_programs("fixtures::a_terminal_shows_what_is_typed", &["tmux"]) {
        return;
    }
    let terminal = Terminal::start(80, 24, &Command::new("cat")).unwrap();
    terminal.type_text("it's typed").unwrap();
    terminal.keys(&["Enter"]).unwrap();
    let twice = |screen: &str| screen.matches("it's typed").count() == 2;
    terminal.until("the echo of cat", PATIENCE, twice).unwrap();
    terminal.resize(120, 40).unwrap();
    assert_eq!(terminal.figure("pane_width").unwrap(), "120");
    assert!(terminal.until("nonsense", Duration::from_millis(50), |s| s.contains("nonsense")).is_err());
}

#[test]
fn the_tool_is_the_one_of_this_tree() {
    assert!(tool::apisec_top().unwrap().is_file());
}
