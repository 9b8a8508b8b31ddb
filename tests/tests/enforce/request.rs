//! Requests that are answered with a 403 by the kernel, on connections that go on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use apisec_probe::enforce::rule::{Case, Pattern, Per, Rate, Request, Rule, Target};
use apisec_probe::enforce::{Backend, Effect};
use apisec_tests::client::connect;
use apisec_tests::eventually;
use apisec_tests::server::{Nginx, NginxSetup};

use super::{Tidy, can_run, nothing_is_left, step};

const TTL: Duration = Duration::from_secs(60);
const BYPASS: &str = include_str!("../../corpus/bypass.txt");

fn request(service: SocketAddr, method: &str, path: &str) -> Request {
    Request {
        service: vec![Target::new(service.ip(), service.port())],
        method: (method != "*").then(|| method.to_owned()),
        path: Pattern::parse(path).unwrap(),
        case: Case::Insensitive,
        from: vec![],
        fail_closed: false,
    }
}

pub(super) fn block(service: SocketAddr, path: &str) -> Vec<Rule> {
    vec![Rule::Request(request(service, "*", path))]
}

/// One answer of a connection: its head, and the body that the head announces.
fn answer(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let field = head.to_ascii_lowercase();
    let length = field.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    connection.read_exact(&mut body).unwrap();
    head + &String::from_utf8_lossy(&body)
}

pub(super) fn ask(connection: &mut TcpStream, request: &str) -> String {
    connection.write_all(request.as_bytes()).unwrap();
    answer(connection)
}

pub(super) fn get(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: tests of enforcement\r\nAccept: */*\r\n\r\n"
    )
}

fn is_refused(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 403") && answer.contains("X-Apisec-Policy: 00000000")
}

fn blocked(effects: &[Effect]) -> u64 {
    effects.iter().map(|effect| effect.blocked).sum()
}

#[test]
fn a_request_is_refused_and_its_connection_goes_on() {
    let Some(_alone) = can_run("request::a_request_is_refused_and_its_connection_goes_on", &["nginx"]) else {
        return;
    };
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let mut tidy = Tidy::new();
    let mut old = connect(nginx.address()).unwrap();
    assert!(ask(&mut old, &get("/api/old")).starts_with("HTTP/1.1 200"));

    let start = Instant::now();
    let applied = tidy.0.apply(&step(12, TTL, block(nginx.address(), "/api/admin/{x}"))).unwrap();
    let mut new = connect(nginx.address()).unwrap();
    let first = ask(&mut new, &get("/api/admin/1"));
    let to_first = start.elapsed();
    assert!(is_refused(&first), "{first}");
    assert!(first.contains("X-Apisec-Policy: 0000000012"), "{first}");
    assert_eq!(applied.adopted, 1);
    for connection in [&mut new, &mut old] {
        for round in 0..3 {
            assert!(ask(connection, &get(&format!("/api/items/{round}"))).starts_with("HTTP/1.1 200"));
            assert!(is_refused(&ask(connection, &get("/api/admin/2"))));
            assert!(ask(connection, &get("/api/admin/2/more")).starts_with("HTTP/1.1 200"));
        }
        // In two writes, and byte by byte.
        let request = get("/api/admin/3");
        let (one, two) = request.split_at(9);
        connection.write_all(one.as_bytes()).unwrap();
        assert!(is_refused(&ask(connection, two)));
        for byte in request.as_bytes() {
            connection.write_all(&[*byte]).unwrap();
        }
        assert!(is_refused(&answer(connection)));
        // With a body, which is not taken for a request.
        let post = "POST /api/admin/4 HTTP/1.1\r\nHost: a.example\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\r\n";
        connection.write_all(post.as_bytes()).unwrap();
        assert!(is_refused(&ask(connection, &format!("{:40}", "GET /api/items/9 HTTP/1.1"))));
        let chunked = "POST /api/admin/4 HTTP/1.1\r\nHost: a.example\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        assert!(is_refused(&ask(connection, chunked)));
        assert!(ask(connection, &get("/api/last")).starts_with("HTTP/1.1 200"));
    }
    let effects = tidy.0.effects().unwrap();
    assert_eq!(blocked(&effects), 1 + 2 * 7, "{effects:?}");

    let start = Instant::now();
    let undone = tidy.0.undo(12).unwrap();
    assert_eq!(undone.destroyed, 0);
    for connection in [&mut new, &mut old] {
        assert!(ask(connection, &get("/api/admin/5")).starts_with("HTTP/1.1 200"));
    }
    println!(
        "first 403 {to_first:?} after apply, with loading; first answer {:?} after undo",
        start.elapsed()
    );
    nothing_is_left();
    let log = nginx.finish().unwrap();
    assert_eq!(log.len(), 1 + 2 * (3 * 2 + 1) + 2);
    assert!(log.iter().all(|line| !line.uri.starts_with("/api/admin/")
        || line.uri.ends_with("more")
        || line.uri.ends_with('5')));
}

#[test]
fn no_spelling_gets_around_it() {
    let Some(_alone) = can_run("request::no_spelling_gets_around_it", &["nginx"]) else { return };
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let mut tidy = Tidy::new();
    let (mut seen, mut wrong) = (0, Vec::new());
    for line in BYPASS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [verdict, method, pattern, asked, target] = words[..5] else { panic!("{line}") };
        let pattern = pattern.replace("\\u00e9", "\u{e9}");
        // The pattern's escapes are undone by whoever compiles a policy.
        let Some(path) = Pattern::parse(&pattern).filter(|_| !pattern.contains('%')) else { continue };
        let rule = Request { path, ..request(nginx.address(), method, "/") };
        tidy.0.apply(&step(1, TTL, vec![Rule::Request(rule)])).unwrap();
        let mut bytes = asked.as_bytes().to_vec();
        bytes.push(b' ');
        bytes.extend(spelt(target));
        if let Some((name, value)) = words.get(5).and_then(|word| word.split_once(':')) {
            if name == "_method" {
                bytes.extend(
                    format!("{}_method={value}", if target.contains('?') { "&" } else { "?" }).bytes(),
                );
                bytes.extend(b" HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
            } else {
                bytes.extend(
                    format!(" HTTP/1.1\r\n{name}: {value}\r\nHost: a.example\r\nConnection: close\r\n\r\n")
                        .bytes(),
                );
            }
        } else {
            bytes.extend(b" HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nConnection: close\r\n\r\n");
        }
        let mut connection = connect(nginx.address()).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        connection.write_all(&bytes).unwrap();
        let mut got = [0; 4096];
        let length = connection.read(&mut got).unwrap_or(0);
        // A request that is too short gets a bare answer, or none: nginx itself never says 403 here.
        let refused = length == 0 || got.starts_with(b"HTTP/1.1 403");
        seen += 1;
        if refused != (verdict == "block") {
            wrong.push(format!("{line} -> {}", String::from_utf8_lossy(&got[..length.min(60)])));
        }
    }
    assert!(seen > 80, "{seen}");
    assert!(wrong.is_empty(), "{} of {seen} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Bytes of a target of the corpus.
fn spelt(word: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), word);
    while let Some(one) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\\x") {
            out.push(u8::from_str_radix(&after[..2], 16).unwrap());
            rest = &after[2..];
        } else if let Some(after) = rest.strip_prefix("{repeat:") {
            let (inner, after) = after.split_once('}').unwrap();
            let (text, times) = inner.rsplit_once(':').unwrap();
            out.extend(text.repeat(times.parse().unwrap()).bytes());
            rest = after;
        } else {
            out.extend(one.to_string().bytes());
            rest = &rest[one.len_utf8()..];
        }
    }
    out
}

#[test]
fn a_rate_lets_through_what_is_within_it() {
    let Some(_alone) = can_run("request::a_rate_lets_through_what_is_within_it", &["nginx"]) else { return };
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let mut tidy = Tidy::new();
    let rate = Rate {
        request: request(nginx.address(), "GET", "/{all*}"),
        per: Per::Caller,
        per_second: 1,
        burst: 5,
    };
    tidy.0.apply(&step(2, TTL, vec![Rule::Rate(rate)])).unwrap();
    let mut connection = connect(nginx.address()).unwrap();
    let started = Instant::now();
    let answers: Vec<_> = (0..12).map(|_| ask(&mut connection, &get("/api/items"))).collect();
    let passed = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 200")).count();
    let most = 6 + started.elapsed().as_secs() as usize;
    assert!((5..=most).contains(&passed), "{passed} of 12, {most} at most");
    let within: u64 = tidy.0.effects().unwrap().iter().map(|effect| effect.passed).sum();
    assert_eq!(within, passed as u64);
    let again = eventually("a token", Duration::from_secs(60), || {
        ask(&mut connection, &get("/api/items")).starts_with("HTTP/1.1 200").then_some(())
    });
    again.unwrap();
}
