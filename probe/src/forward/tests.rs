use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

const PATIENCE: Duration = Duration::from_secs(30);

fn finding(id: &str, count: u64) -> Finding {
    Finding {
        id: id.into(),
        severity: Severity::High,
        count,
        title: format!("finding {id}"),
        ..Finding::default()
    }
}

fn to(addresses: &[String], folder: Option<&Path>) -> Forwarder {
    let destination = |address: &String| Destination::parse(address, None, None, "node").unwrap();
    let destinations: Vec<Destination> = addresses.iter().map(destination).collect();
    Forwarder::start(&destinations, Severity::Low, folder).unwrap()
}

/// A server that answers every request with the next of these statuses and says what it got.
fn server(statuses: &'static [u16]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (say, got) = channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = Vec::new();
            let mut part = [0; 4096];
            loop {
                let head = text.windows(4).position(|end| end == b"\r\n\r\n");
                let length = head.map(|at| {
                    let head = String::from_utf8_lossy(&text[..at]).to_lowercase();
                    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
                    at + 4 + length.parse::<usize>().unwrap()
                });
                if length.is_some_and(|length| text.len() >= length) {
                    break;
                }
                let read = stream.read(&mut part).unwrap();
                text.extend_from_slice(&part[..read]);
            }
            write!(stream, "HTTP/1.1 {status} X\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n").unwrap();
            let _nobody_waits = say.send(String::from_utf8(text).unwrap());
        }
    });
    (address, got)
}

#[test]
fn a_finding_is_sent_once_and_again_when_it_gets_worse() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.ndjson");
    let mut forwarder = to(&[format!("ndjson:{}", file.display())], None);
    forwarder.offer(&[finding("a", 10), Finding { severity: Severity::Info, ..finding("b", 1) }]);
    forwarder.offer(&[finding("a", 12)]);
    forwarder.offer(&[finding("a", 40)]);
    forwarder.offer(&[Finding { severity: Severity::Critical, ..finding("a", 41) }]);
    assert!(forwarder.finish());
    let lines = std::fs::read_to_string(&file).unwrap();
    let counts: Vec<u64> =
        lines.lines().map(|line| serde_json::from_str::<Finding>(line).unwrap().count).collect();
    assert_eq!(counts, [10, 40, 41]);
    assert_eq!(forwarder.totals()[0].1, 3);
}

#[test]
fn a_web_hook_that_is_busy_gets_it_later() {
    let (address, got) = server(&[503, 500, 200]);
    let mut forwarder = to(&[format!("webhook:http://{address}/hook")], None);
    forwarder.offer(&[finding("a", 1)]);
    for _ in 0..3 {
        let request = got.recv_timeout(PATIENCE).unwrap();
        assert!(
            request.starts_with("POST /hook HTTP/1.1\r\n") && request.contains("\"finding a\""),
            "{request}"
        );
    }
    assert!(forwarder.finish());
    assert!(forwarder.troubles().iter().all(|trouble| trouble.code != "destination-does-not-take"));
}

#[test]
fn what_nobody_takes_waits_for_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let (address, got) = server(&[200]);
    // A port where nobody listens, then the same spool with somebody there.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut forwarder = to(&[format!("webhook:http://{dead}/")], Some(folder.path()));
    forwarder.offer(&[finding("a", 1)]);
    let deadline = Instant::now() + PATIENCE;
    while forwarder.troubles().is_empty() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let trouble = forwarder.troubles().remove(0);
    assert!(trouble.what.contains(&format!("webhook:http://{dead}/")), "{trouble:?}");
    drop(forwarder);
    let _next_run = to(&[format!("webhook:http://{address}/")], Some(folder.path()));
    assert!(got.recv_timeout(PATIENCE).unwrap().contains("finding a"));
}

#[test]
fn one_that_is_stuck_does_not_hold_up_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("out.ndjson");
    // Accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut forwarder = to(
        &[format!("webhook:http://{}/", silent.local_addr().unwrap()), format!("ndjson:{}", file.display())],
        None,
    );
    let started = Instant::now();
    (0..1_000).for_each(|n| forwarder.offer(&[finding(&n.to_string(), 1)]));
    assert!(started.elapsed() < Duration::from_secs(5), "offering never waits");
    let deadline = Instant::now() + PATIENCE;
    let lines = || std::fs::read_to_string(&file).unwrap_or_default().lines().count();
    while lines() < 1_000 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(lines(), 1_000);
}

#[test]
fn syslog_over_tcp_counts_octets_and_notices_a_receiver_that_went_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut forwarder = to(&[format!("syslog:tcp://{address}")], None);
    for id in ["a", "b"] {
        forwarder.offer(&[finding(id, 1)]);
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 64];
        stream.read_exact(&mut head).unwrap();
        let text = String::from_utf8_lossy(&head).into_owned();
        let (length, rest) = text.split_once(' ').unwrap();
        assert!(length.parse::<usize>().unwrap() > 60 && rest.starts_with("<83>1 "), "{text}");
        // It goes away in the middle; the next finding opens a new connection.
        drop(stream);
    }
}
