//! TLS that begins in the middle of something else, where the kernel has recognised nothing and ports tell the ends apart: wrongly,
//! here, until somebody is heard asking.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use apisec_tests::certificate::Certificate;
use apisec_tests::script::{PYTHON, Script};
use apisec_tests::server::Server;
use apisec_tests::watch::{Watch, mark};

use super::paths;
use crate::live::can_run;

/// Greets first, and goes on inside TLS when it is asked to: with HTTP.
const LATE: Script = Script::python(
    "late.py",
    r#"
import socketserver, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"220 at your service\r\n")
        if self.request.recv(100) != b"STARTTLS\r\n": return
        self.request.sendall(b"220 go on\r\n")
        inside = context.wrap_socket(self.request, server_side=True)
        while head := inside.recv(4096):
            body = head.split(b" ")[1]
            inside.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"#,
);

const ASKER: Script = Script::python(
    "asklate.py",
    r#"
import socket, ssl, sys
port = sys.argv[1]
connection = socket.create_connection(("127.0.0.1", int(port)))
assert connection.getsockname()[1] < int(port)
assert connection.recv(100).startswith(b"220")
connection.sendall(b"STARTTLS\r\n")
assert connection.recv(100).startswith(b"220")
inside = ssl._create_unverified_context().wrap_socket(connection)
print("ready", flush=True)
for line in sys.stdin:
    path = line.strip()
    inside.sendall(f"GET {path} HTTP/1.1\r\nHost: late\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(path.encode()): answer += inside.recv(4096)
    print(answer.split()[1].decode(), flush=True)
"#,
);

/// A free port above those that the kernel gives to clients.
fn high() -> SocketAddr {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = (61_200..65_000).step_by(7).find(free).expect("a port is free");
    (Ipv4Addr::LOCALHOST, port).into()
}

#[test]
fn who_asks_is_heard_and_not_guessed() {
    let name = "tls::starttls::who_asks_is_heard_and_not_guessed";
    if !can_run(name, &[PYTHON, "openssl"]) {
        return;
    }
    let (mark, certificate) = (mark("late"), Certificate::new().unwrap());
    let server = Server::start_at(high(), None, |address, folder| {
        let mut command = std::process::Command::new(PYTHON);
        std::fs::write(folder.join(LATE.name), LATE.text)?;
        command.arg(folder.join(LATE.name)).arg(address.ip().to_string()).arg(address.port().to_string());
        command.arg(certificate.chain()).arg(certificate.key());
        Ok(command)
    })
    .unwrap();
    let port = server.address().port().to_string();
    let watch = Watch::calls().unwrap();
    let asked = paths(&mark, "asker", 6);
    // It lives until it was named.
    let mut asker = ASKER.speak(&[&port]).unwrap();
    assert_eq!(asker.listen().unwrap(), "ready");
    for path in &asked {
        assert_eq!(asker.say(path).unwrap(), "200");
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    // Both ends are read, and neither knows of the other: what one misses the other has.
    let seen: BTreeSet<_> = calls.iter().map(|call| call.path.clone()).collect();
    assert_eq!(seen, asked.into_iter().collect());
    for call in &calls {
        // Who is named late is not named yet; nobody is taken for the other.
        let (asks, answers) = ("process:asklate.py", format!("process:late.py:{port}"));
        assert!(call.src == asks || call.dst == answers, "{call:?}");
        assert!(call.src != answers && call.dst != asks, "{call:?}");
    }
}
