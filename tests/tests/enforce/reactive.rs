//! What is known only after it was read: the connections of such calls are closed, and no others, over HTTP/2, gRPC and TLS,
//! counted against the servers' own logs.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use apisec_tests::certificate::Certificate;
use apisec_tests::eventually;
use apisec_tests::script::{Dialogue, Script};
use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::tool::{self, Running};
use serde_json::Value;
use tempfile::TempDir;

use super::can_run;

/// Pins of these tests; nobody else's.
const PINS: &str = "tests-of-reaction";
const PATIENCE: Duration = Duration::from_secs(180);
/// Calls that are meant, each on a connection of its own, because each loses it.
const ROUNDS: u64 = 6;

/// Writes what it answers, line by line, to the file of its third argument.
const H2_SERVER: Script = Script {
    interpreter: "node",
    name: "reaction_server.js",
    text: r"
const http2 = require('http2'), fs = require('fs')
const [address, port, log] = process.argv.slice(2)
http2.createServer((request, response) => {
  fs.appendFileSync(log, `${request.url}\n`)
  response.end('{}')
}).listen(Number(port), address)
",
};

/// `ask PATH` prints the status, or `cut`; `closed` waits until its connection is closed.
const H2_CLIENT: Script = Script {
    interpreter: "node",
    name: "reaction_client.js",
    text: r"
const http2 = require('http2')
let session = null
function open() {
  if (session) return session
  const own = http2.connect(`http://127.0.0.1:${process.argv[2]}`)
  own.on('error', () => {})
  own.on('close', () => { if (session === own) session = null })
  return session = own
}
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const [word, path] = line.split(' ')
  let [said, status, left] = [false, 'cut', 3000]
  const say = text => { if (!said) { said = true; console.log(text) } }
  if (word === 'closed') {
    const look = () => session === null ? say('closed') : left-- > 0 ? setTimeout(look, 20) : say('open')
    return look()
  }
  const stream = open().request({ ':path': path })
  stream.on('response', head => { status = head[':status'] })
  stream.on('end', () => say(status))
  stream.on('error', () => say('cut'))
  stream.on('close', () => say(status))
  stream.resume()
})
",
};

const GRPC_SERVER: Script = Script::python(
    "reaction_grpc_server.py",
    r#"
import sys
from concurrent import futures
import grpc
log = open(sys.argv[3], "a", buffering=1)
class Shop(grpc.GenericRpcHandler):
    def service(self, details):
        def unary(request, context):
            log.write(details.method + "\n")
            return request
        return grpc.unary_unary_rpc_method_handler(unary)
server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((Shop(),))
server.add_insecure_port(f"{sys.argv[1]}:{sys.argv[2]}")
server.start()
server.wait_for_termination()
"#,
);

/// As [`H2_CLIENT`].
const GRPC_CLIENT: Script = Script::python(
    "reaction_grpc_client.py",
    r#"
import sys, threading
import grpc
gone = threading.Event()
channel = None
def heard(state):
    if state in (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.TRANSIENT_FAILURE) and met[0]:
        gone.set()
    met[0] = met[0] or state == grpc.ChannelConnectivity.READY
for line in sys.stdin:
    word, *path = line.split()
    if word == "closed":
        print("closed" if channel is None or gone.wait(60) else "open", flush=True)
        if channel is not None and gone.is_set():
            channel.close()
            channel = None
        continue
    if channel is None:
        gone.clear()
        met = [False]
        channel = grpc.insecure_channel("127.0.0.1:" + sys.argv[1])
        channel.subscribe(heard)
    try:
        channel.unary_unary(path[0])(b"q", timeout=60)
        print("200", flush=True)
    except grpc.RpcError:
        print("cut", flush=True)
"#,
);

/// As [`H2_CLIENT`], over TLS and HTTP/1.1.
const TLS_CLIENT: Script = Script::python(
    "reaction_tls_client.py",
    r#"
import http.client, ssl, sys
context = ssl._create_unverified_context()
connection = None
for line in sys.stdin:
    word, *path = line.split()
    if word == "closed":
        gone = connection is None or connection.sock is None
        if not gone:
            connection.sock.settimeout(60)
            try:
                gone = connection.sock.recv(1) == b""
            except TimeoutError:
                gone = False
            except OSError:
                gone = True
        if gone:
            connection = None
        print("closed" if gone else "open", flush=True)
        continue
    try:
        if connection is None:
            connection = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=context, timeout=60)
            connection.connect()
            connection.auto_open = 0
        connection.request("GET", path[0])
        answer = connection.getresponse()
        answer.read()
        print(answer.status, flush=True)
    except (OSError, http.client.HTTPException):
        connection = None
        print("cut", flush=True)
"#,
);

/// Runs the tool to its end, on a state folder of its own.
fn top(state: &TempDir, arguments: &[&str]) -> String {
    let mut command = tool::command(arguments).unwrap();
    command.env("APISEC_TOP_PINS", PINS).env("APISEC_TOP_STATE", state.path());
    let run = Running::start_command(command).unwrap().wait(PATIENCE).unwrap();
    assert!(run.status.success(), "{arguments:?}: {}{}", run.stdout, run.stderr);
    run.stdout
}

/// The policy as commands show it.
fn stands(state: &TempDir) -> Value {
    let all: Value = serde_json::from_str(&top(state, &["policy", "list", "--output", "json"])).unwrap();
    all[0].clone()
}

/// Takes everything back when a test ends, however it ends.
struct Tidy<'a>(&'a TempDir);

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        let mut command = tool::command(&["panic"]).unwrap();
        command.env("APISEC_TOP_PINS", PINS).env("APISEC_TOP_STATE", self.0.path());
        let ended = Running::start_command(command).and_then(|run| run.wait(PATIENCE));
        eprintln!("{:?}", ended.map(|run| run.stdout));
    }
}

fn logged(log: &Path, word: &str) -> u64 {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().filter(|line| line.contains(word)).count() as u64
}

/// A service, one client that asks for what is stopped and one that does not, and what the preview must say.
struct Play<'a> {
    service: SocketAddr,
    client: Script,
    log: &'a Path,
    meant: &'a str,
    pattern: &'a str,
    other: &'a str,
    why: &'a str,
}

/// Plays it: the connections of calls that are meant are closed and no others, and afterwards all is as before.
fn play(play: &Play<'_>) {
    let state = tempfile::tempdir().unwrap();
    let _tidy = Tidy(&state);
    let port = play.service.port().to_string();
    let [mut meant, mut other] = [(); 2].map(|()| play.client.speak(&[&port]).unwrap());
    let ask = |client: &mut Dialogue, path: &str| client.say(&format!("ask {path}")).unwrap();
    assert_eq!(ask(&mut meant, play.meant), "200");
    let file = state.path().join("stop.yaml");
    let policy = format!(
        "apiVersion: apisec-top/1\nkind: Policy\nmetadata: {{name: stop}}\nspec:\n  scope: {{endpoint: {{service: \"{}\", path: \"{}\"}}}}\n  ttl: 30m\n",
        play.service, play.pattern
    );
    fs::File::create(&file).unwrap().write_all(policy.as_bytes()).unwrap();
    let file = file.to_str().unwrap();
    // Somebody calls meanwhile, so that it is known what is spoken.
    let over = AtomicBool::new(false);
    let preview = thread::scope(|scope| {
        let calls = scope.spawn(|| {
            while !over.load(Relaxed) {
                assert_eq!(ask(&mut other, play.other), "200");
            }
        });
        let preview = top(&state, &["policy", "preview", file, "--watch", "4s"]);
        let applied = top(&state, &["policy", "apply", file, "--yes", "--watch", "4s"]);
        over.store(true, Relaxed);
        calls.join().unwrap();
        assert!(applied.contains("policy 1 stop is in force"), "{applied}");
        preview
    });
    assert!(preview.contains("rule: after the fact: close connections"), "{preview}");
    assert!(preview.contains(play.why), "{preview}");
    eventually("somebody who looks", PATIENCE, || (stands(&state)["watched"] == true).then_some(())).unwrap();
    // On a connection from before, HTTP/2 may speak in abbreviations that nobody who came later knows.
    meant = play.client.speak(&[&port]).unwrap();
    let before = logged(play.log, play.meant);
    for _ in 0..ROUNDS {
        let said = ask(&mut meant, play.meant);
        assert!(said == "200" || said == "cut", "{said}");
        assert_eq!(meant.say("closed").unwrap(), "closed");
        for _ in 0..5 {
            assert_eq!(ask(&mut other, play.other), "200");
        }
    }
    let view = eventually("all counted", PATIENCE, || {
        let view = stands(&state);
        (view["closed"] == ROUNDS).then_some(view)
    })
    .unwrap_or_else(|_| stands(&state));
    assert_eq!(logged(play.log, play.meant) - before, ROUNDS);
    assert_eq!((&view["closed"], &view["passed"]), (&ROUNDS.into(), &ROUNDS.into()), "{view:#}");
    assert!(view["when"].as_array().unwrap().contains(&"reactive".into()), "{view:#}");
    assert!(view["delay_us"].as_u64().unwrap() > 0, "{view:#}");
    assert!(view["callers"].as_array().unwrap().iter().any(|one| one["passed"] == ROUNDS), "{view:#}");
    println!("{}: closed within {} us of a call's first byte, at most", play.why, view["delay_us"]);
    top(&state, &["policy", "rollback", "stop", "--yes"]);
    let reached = logged(play.log, play.meant);
    for _ in 0..20 {
        assert_eq!(ask(&mut meant, play.meant), "200");
        assert_eq!(ask(&mut other, play.other), "200");
    }
    assert_eq!(logged(play.log, play.meant) - reached, 20);
    eventually("nothing pinned", PATIENCE, || (!Path::new("/sys/fs/bpf").join(PINS).exists()).then_some(()))
        .unwrap();
    let told = Path::new("/run/apisec-top").join(format!("sentries-{PINS}"));
    eventually("nobody looks", PATIENCE, || (!told.exists()).then_some(())).unwrap();
}

#[test]
fn calls_over_http2_lose_their_connection() {
    let Some(_alone) = can_run("reactive::calls_over_http2_lose_their_connection", &["node"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = H2_SERVER.serve(&[log.to_str().unwrap()]).unwrap();
    play(&Play {
        service: server.address(),
        client: H2_CLIENT,
        log: &log,
        meant: "/admin/one",
        pattern: "/admin/{any}",
        other: "/items/one",
        why: "over http2",
    });
}

#[test]
fn calls_of_grpc_lose_their_connection() {
    let Some(_alone) = can_run("reactive::calls_of_grpc_lose_their_connection", &["python3"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = GRPC_SERVER.serve(&[log.to_str().unwrap()]).unwrap();
    play(&Play {
        service: server.address(),
        client: GRPC_CLIENT,
        log: &log,
        meant: "/admin.Shop/Get",
        pattern: "/admin.Shop/{any}",
        other: "/shop.Shop/Get",
        why: "is known after it was read",
    });
}

#[test]
fn calls_inside_tls_lose_their_connection() {
    let Some(_alone) =
        can_run("reactive::calls_inside_tls_lose_their_connection", &["nginx", "openssl", "python3"])
    else {
        return;
    };
    let certificate = Certificate::new().unwrap();
    let nginx = Nginx::start(NginxSetup {
        certificate: Some(&certificate),
        server: "keepalive_requests 1000000; location / { return 200 '{}'; }",
        ..NginxSetup::default()
    })
    .unwrap();
    assert_eq!(nginx.address().ip(), Ipv4Addr::LOCALHOST);
    play(&Play {
        service: nginx.address(),
        client: TLS_CLIENT,
        log: &nginx.log_path(),
        meant: "/admin/one",
        pattern: "/admin/{any}",
        other: "/items/one",
        why: "over TLS",
    });
}
