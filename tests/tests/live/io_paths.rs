//! How bytes get to the socket must not matter: sendfile, splice, gathered writes, io_uring, one byte at a
//! time, many requests at once, heads larger than what is captured.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::thread;

use apisec_tests::client::curl;
use apisec_tests::conversation::Conversation;
use apisec_tests::script::Script;
use apisec_tests::server::{Nginx, NginxSetup, free_port};
use apisec_tests::skip::skip;
use apisec_tests::uring;
use apisec_tests::watch::{Watch, mark};

use super::{can_run, each_once};

/// Answers each path by the system call that it names, a megabyte long.
const PATHS: Script = Script {
    interpreter: "python3",
    name: "io_paths.py",
    text: r#"
import os, socket, sys, tempfile

SIZE = 1 << 20
file = tempfile.TemporaryFile()
file.write(b"x" * SIZE)
file.flush()

def sendfile(fd):
    sent = 0
    while sent < SIZE:
        sent += os.sendfile(fd, file.fileno(), sent, SIZE - sent)

def splice(fd):
    read, write = os.pipe()
    sent = 0
    while sent < SIZE:
        moved = os.splice(file.fileno(), write, 65536, offset_src=sent)
        sent += moved
        while moved:
            moved -= os.splice(read, fd, moved)
    os.close(read)
    os.close(write)

def writev(fd):
    sent = 0
    while sent < SIZE:
        left = SIZE - sent
        sent += os.writev(fd, [b"y" * min(1000, left)] + [b"z" * (left - 1000)] * (left > 1000))

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen()
while True:
    stream, _ = listener.accept()
    buffer = b""
    while received := stream.recv(65536):
        buffer += received
        while b"\r\n\r\n" in buffer:
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            call = head.split(b" ")[1].rsplit(b"/", 1)[1].decode().split("-")[0]
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            {"sendfile": sendfile, "splice": splice, "writev": writev}[call](stream.fileno())
    stream.close()
"#,
};

#[test]
fn sendfile_splice_and_gathered_writes() {
    if !can_run("io_paths::sendfile_splice_and_gathered_writes", &["python3"]) {
        return;
    }
    let mark = mark("paths");
    let python = PATHS.serve(&[]).unwrap();
    let watch = Watch::calls().unwrap();
    let mut connection = Conversation::open(python.address()).unwrap();
    let names: Vec<String> = (0..3)
        .flat_map(|n| ["sendfile", "splice", "writev"].map(|call| format!("{mark}/{call}-{n}")))
        .collect();
    let answers: Vec<_> = names.iter().map(|path| connection.get(path).unwrap()).collect();
    drop(connection);
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, names.iter().cloned());
    for (path, answer) in names.iter().zip(answers) {
        let call = calls.iter().find(|call| call.path == *path).unwrap();
        assert_eq!((call.status, call.response_bytes), (Some(200), answer.head + answer.body), "{call:?}");
    }
}

#[test]
fn io_uring_at_both_ends() {
    let name = "io_paths::io_uring_at_both_ends";
    if !can_run(name, &[]) {
        return;
    }
    if !uring::available() {
        return skip(&format!("live::{name}"), "this kernel does not allow io_uring");
    }
    let mark = mark("uring");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let paths: Vec<String> = (0..50).map(|n| format!("{mark}/n{n}")).collect();
    let requests: Vec<String> =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: uring\r\n\r\n")).collect();
    let watch = Watch::calls().unwrap();
    let count = requests.len();
    let server = thread::spawn(move || uring::serve(&listener, count));
    uring::fetch(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), &requests).unwrap();
    server.join().unwrap().unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, paths);
    for call in &calls {
        assert_eq!(
            call.request_bytes,
            requests.iter().find(|r| r.contains(&format!("{} ", call.path))).unwrap().len() as u64
        );
        assert_eq!((call.status, call.response_bytes), (Some(200), uring::ANSWER as u64), "{call:?}");
    }
}

#[test]
fn split_writes_many_at_once_and_long_heads() {
    if !can_run("io_paths::split_writes_many_at_once_and_long_heads", &["nginx"]) {
        return;
    }
    let mark = mark("splits");
    let setup = NginxSetup { http: "large_client_header_buffers 8 64k;", ..NginxSetup::default() };
    let nginx = Nginx::start(setup).unwrap();
    let watch = Watch::calls().unwrap();
    let mut expected = bytewise(nginx.address(), &mark);
    expected.extend(at_once(nginx.address(), &mark, "few", 20));
    expected.extend(at_once(nginx.address(), &mark, "many", 120));
    expected.extend(long_heads(nginx.address(), &mark));
    let log = nginx.finish().unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, expected);
    // TCP joins the answers to many requests into segments larger than what is copied of one: their calls
    // are counted, but not measured.
    for line in log.iter().filter(|line| !line.uri.contains("/many")) {
        let call = calls.iter().find(|call| call.path == line.uri).unwrap();
        let (said, seen) =
            ((line.request_length, line.bytes_sent), (call.request_bytes, call.response_bytes));
        assert_eq!((said, Some(line.status)), (seen, call.status), "{call:?}");
    }
}

/// Requests whose first line comes one byte at a time, in every state of a connection: its first bytes,
/// and behind other requests.
fn bytewise(address: SocketAddr, mark: &str) -> Vec<String> {
    let paths: Vec<String> = (0..3).map(|n| format!("{mark}/bytewise{n}")).collect();
    let mut connection = Conversation::open(address).unwrap();
    for path in &paths {
        connection.send_bytewise(format!("GET {path} HTTP/1.1\r\n").as_bytes()).unwrap();
        connection.send(b"Host: test\r\n\r\n").unwrap();
        assert_eq!(connection.answer("GET").unwrap().status, 200);
    }
    paths
}

/// Requests in one write: no more than the 8 KiB that the kernel copies before a direction turns.
fn at_once(address: SocketAddr, mark: &str, name: &str, requests: usize) -> Vec<String> {
    let paths: Vec<String> = (0..requests).map(|n| format!("{mark}/{name}{n}")).collect();
    let request = |path: &String| format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut connection = Conversation::open(address).unwrap();
    connection.send(paths.iter().map(request).collect::<String>().as_bytes()).unwrap();
    for path in &paths {
        assert_eq!(connection.answer("GET").unwrap().status, 200, "{path}");
    }
    paths
}

/// Heads of 7 KB, which are captured whole, and of 60 KB, which are not; with a small request behind each.
fn long_heads(address: SocketAddr, mark: &str) -> Vec<String> {
    let mut connection = Conversation::open(address).unwrap();
    let mut paths = Vec::new();
    for size in [7_000, 60_000] {
        let path = format!("{mark}/head{size}");
        let padding = format!("X-Padding: {}\r\n", "p".repeat(size));
        assert_eq!(connection.ask("GET", &path, &padding).unwrap().status, 200);
        let after = format!("{mark}/after{size}");
        assert_eq!(connection.get(&after).unwrap().status, 200);
        paths.extend([path, after]);
    }
    paths
}

/// The server has no socket for a connection before its first payload came: `deferred` of nginx, the default of Apache.
#[test]
fn a_server_that_accepts_with_the_first_payload() {
    if !can_run("io_paths::a_server_that_accepts_with_the_first_payload", &["nginx", "curl"]) {
        return;
    }
    let mark = mark("deferred");
    let port = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let http = format!("server {{ listen 127.0.0.1:{port} deferred; location / {{ return 200 '{{}}'; }} }}");
    let nginx = Nginx::start(NginxSetup { http: &http, ..NginxSetup::default() }).unwrap();
    let watch = Watch::calls().unwrap();
    for number in 0..10 {
        let url = format!("http://127.0.0.1:{port}{mark}");
        curl(&[&format!("{url}/first/{number}"), &format!("{url}/second/{number}")]).unwrap();
    }
    let log = nginx.finish().unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    assert_eq!(log.len(), 20);
    each_once(&calls, log.iter().map(|line| line.uri.clone()));
    let right = |src: &str, dst: &str| src == "process:curl" && dst.starts_with("process:nginx");
    assert!(calls.iter().all(|call| call.status == Some(200) && right(&call.src, &call.dst)), "{calls:?}");
}
