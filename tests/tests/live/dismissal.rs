//! What is not HTTP/1 is let go in the kernel, and counted; our own connections are never looked at.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use apisec_abi::{Exec, Exit, Open};
use apisec_probe::attach::{Bodies, Own};
use apisec_probe::flow::Flow;
use apisec_probe::source::live::Live;
use apisec_probe::source::{Sink, Source};
use apisec_proto::call::Call;
use apisec_proto::segment::{ConnId, Segment};
use apisec_tests::client::{connect, curl};
use apisec_tests::script::Script;
use apisec_tests::server::Server;
use apisec_tests::watch::Watch;

use super::can_run;

/// Speaks first, as mail servers do, answers the text protocol of a cache, and returns everything else.
const SPEAKER: Script = Script {
    interpreter: "python3",
    name: "speaker.py",
    text: r#"
import socket, sys, threading

def serve(stream):
    kind = stream.recv(1)
    if kind == b"S":
        stream.sendall(b"220 mail.example ESMTP ready\r\n")
    while received := stream.recv(65536):
        if kind == b"*":
            stream.sendall(b"+OK\r\n")
        elif kind == b"S":
            stream.sendall(b"250 fine\r\n")
        else:
            stream.sendall(received)
    stream.close()

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#,
};

/// Bytes of binary that are echoed.
const BINARY: usize = 8 << 20;
/// Connections of each of the two text protocols.
const TALKS: u64 = 5;
/// All of them, and the one with binary.
const CONNECTIONS: u64 = 2 * TALKS + 1;

#[test]
fn what_is_not_http_is_dismissed() {
    if !can_run("dismissal::what_is_not_http_is_dismissed", &["python3"]) {
        return;
    }
    let speaker = SPEAKER.serve(&[]).unwrap();
    let watch = Watch::snapshot().unwrap();
    echo(speaker.address());
    for _ in 0..TALKS {
        talk(speaker.address(), "S", &["", "EHLO there\r\n", "GET /mail\r\n", "QUIT\r\n"]);
        talk(speaker.address(), "*", &["3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", "*1\r\n$4\r\nPING\r\n"]);
    }
    let snapshot = watch.end_with_snapshot().unwrap();
    let port = format!(":{}", speaker.address().port());
    let named: Vec<_> = snapshot.workloads.iter().filter(|workload| workload.id.contains(&port)).collect();
    assert!(named.is_empty(), "{named:?}");
    let count = |name: &str| snapshot.capture.counters[name];
    assert!(count("dismissed") >= CONNECTIONS, "{:?}", snapshot.capture.counters);
    // All of both directions but the first segment: what is not counted here was taken for HTTP.
    assert!(count("bytes_dismissed") >= 2 * BINARY as u64 - 65_536, "{:?}", snapshot.capture.counters);
}

fn echo(address: SocketAddr) {
    let mut stream = connect(address).unwrap();
    let mut back = stream.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let mut buffer = vec![0; BINARY];
        back.read_exact(&mut buffer).unwrap();
    });
    let noise: Vec<u8> =
        (0..=BINARY as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();
    stream.write_all(&noise).unwrap();
    reader.join().unwrap();
}

/// Says each line when the answer to the one before has come.
fn talk(address: SocketAddr, kind: &str, lines: &[&str]) {
    let mut stream = connect(address).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let mut first = kind.to_owned();
    for line in lines {
        stream.write_all(format!("{first}{line}").as_bytes()).unwrap();
        first.clear();
        let mut answer = String::new();
        assert!(answers.read_line(&mut answer).unwrap() > 0);
    }
}

#[test]
fn tls_is_counted_in_connections_and_bytes() {
    if !can_run("dismissal::tls_is_counted_in_connections_and_bytes", &["openssl", "curl"]) {
        return;
    }
    let openssl = Server::start(|address, folder| {
        let (key, certificate) = (folder.join("key"), folder.join("certificate"));
        let mut request = Command::new("openssl");
        request.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-days",
            "2",
        ]);
        request.arg("-keyout").arg(&key).arg("-out").arg(&certificate).stderr(Stdio::null());
        anyhow::ensure!(request.status()?.success(), "no certificate");
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-www", "-accept", &address.to_string()]);
        command.arg("-key").arg(key).arg("-cert").arg(certificate);
        Ok(command)
    });
    let openssl = openssl.unwrap();
    let watch = Watch::snapshot().unwrap();
    let mut bytes = 0;
    for _ in 0..3 {
        bytes += curl(&["-k", &format!("https://{}/", openssl.address())]).unwrap().len();
    }
    let snapshot = watch.end_with_snapshot().unwrap();
    let count = |name: &str| snapshot.capture.counters[name];
    assert!(count("conns_tls") >= 3, "{:?}", snapshot.capture.counters);
    assert!(count("bytes_tls") >= bytes as u64, "{:?}", snapshot.capture.counters);
}

/// Counts the payload of connections to one server.
struct Counted {
    server: SocketAddr,
    segments: usize,
}

impl Sink for Counted {
    fn segment(&mut self, segment: &Segment<'_>, flow: &Flow) {
        self.segments += usize::from(flow.server == self.server && !segment.bytes.is_empty());
    }
    fn opened(&mut self, _: &Open) {}
    fn started(&mut self, _: &Exec) {}
    fn ended(&mut self, _: &Exit) {}
    fn call(&mut self, _: &Call) {}
    fn discard(&mut self, _: ConnId) {}
}

/// Segments of three calls from this very process to itself.
fn segments_of_ours(own: Own) -> usize {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = listener.local_addr().unwrap();
    let mut live = Live::start(own, Bodies::Heads, Vec::new).unwrap();
    let answering = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).unwrap() > 0 {
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        }
    });
    let mut stream = connect(server).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: ours\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    }
    drop(stream);
    answering.join().unwrap();
    let mut counted = Counted { server, segments: 0 };
    // Everything was written to the ring before; a busy node never falls idle.
    let patience = if own == Own::Included { 60 } else { 1 };
    let end = Instant::now() + Duration::from_secs(patience);
    while Instant::now() < end && counted.segments < 6 {
        live.poll(&mut counted).unwrap();
    }
    counted.segments
}

#[test]
fn our_own_connections_are_never_looked_at() {
    if !can_run("dismissal::our_own_connections_are_never_looked_at", &[]) {
        return;
    }
    assert_eq!(segments_of_ours(Own::Included), 6, "the check itself");
    assert_eq!(segments_of_ours(Own::Excluded), 0);
}
