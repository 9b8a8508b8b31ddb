//! HTTP/2 in clear and gRPC of peers that we did not write, counted against their own logs.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::client::curl;
use apisec_tests::script::Script;
use apisec_tests::server::{Nginx, NginxSetup, free_port};
use apisec_tests::skip::{find_program, skip};
use apisec_tests::watch::{Watch, mark};

use super::can_run;

/// How often each was seen.
fn tally(items: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    items.into_iter().for_each(|item| *tally.entry(item).or_default() += 1);
    tally
}

/// Protocol, method, path, status and what gRPC answered.
fn told(call: &NdjsonCall) -> String {
    let status = call.status.map_or("-".to_owned(), |status| status.to_string());
    let app = call.app_status.map_or(String::new(), |status| format!(" {status}"));
    format!("{} {} {} {status}{app}", call.protocol, call.method, call.path)
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn nginx_curl_and_h2load() {
    if !can_run("http2::nginx_curl_and_h2load", &["nginx", "curl", "h2load"]) {
        return;
    }
    let mark = mark("h2c");
    let port = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let http = format!(
        "server {{ listen 127.0.0.1:{port} http2; location / {{ return 200 '{{\"ok\":true}}'; }} \
         location {mark}/missing {{ return 404; }} }}"
    );
    let nginx = Nginx::start(NginxSetup { http: &http, ..NginxSetup::default() }).unwrap();
    let url = format!("http://127.0.0.1:{port}{mark}");
    let watch = Watch::calls().unwrap();
    // One run each: this curl cannot reuse a connection in prior knowledge.
    // With a body this curl fails at times: nginx answers before it was sent, and resets the stream.
    curl(&["--http2-prior-knowledge", "-X", "POST", &format!("{url}/one")]).unwrap();
    curl(&["--http2-prior-knowledge", &format!("{url}/two?page=2")]).unwrap();
    curl(&["--http2-prior-knowledge", &format!("{url}/missing")]).unwrap();
    run("h2load", &["-n", "2000", "-c", "4", "-m", "100", &format!("{url}/load"), &format!("{url}/more")]);
    nginx.log_of(2003).unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    let log = nginx.finish().unwrap();
    let path = |uri: &str| uri.split('?').next().unwrap_or_default().to_owned();
    let logged =
        tally(log.iter().map(|line| format!("http2 {} {} {}", line.method, path(&line.uri), line.status)));
    assert_eq!(tally(calls.iter().map(told)), logged);
    // nginx tells its version.
    let is_odd = |call: &&NdjsonCall| call.notes.iter().any(|note| note != "banner");
    assert!(!calls.iter().any(|call| is_odd(&call)), "{:?}", calls.iter().find(is_odd));
    assert!(calls.iter().all(|call| call.host == format!("127.0.0.1:{port}")));
}

/// Servers that write what they answered, line by line, to the file named by their third argument.
const NODE: Script = Script {
    interpreter: "node",
    name: "h2_server.js",
    text: r#"
const http2 = require('http2'), fs = require('fs')
const [address, port, log] = process.argv.slice(2)
http2.createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    const status = request.url.endsWith('/no') ? 418 : 200
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end('{"a":1}')
    fs.appendFileSync(log, `http2 ${request.method} ${request.url} ${status}\n`)
  })
}).listen(Number(port), address)
"#,
};

/// Asks for every path that it is told, always on one connection.
const NODE_CLIENT: Script = Script {
    interpreter: "node",
    name: "h2_client.js",
    text: r#"
const session = require('http2').connect(`http://127.0.0.1:${process.argv[2]}`)
require('readline').createInterface({ input: process.stdin }).on('line', path => {
  const stream = session.request({ ':path': path })
  stream.resume()
  stream.on('response', head => console.log(head[':status']))
})
"#,
};

#[test]
fn a_connection_of_node_that_was_open_before_us() {
    if !can_run("http2::a_connection_of_node_that_was_open_before_us", &["node"]) {
        return;
    }
    let mark = mark("node");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = NODE.serve(&[log.to_str().unwrap()]).unwrap();
    let mut client = NODE_CLIENT.speak(&[&server.address().port().to_string()]).unwrap();
    for path in ["old", "old", "no"] {
        client.say(&format!("{mark}/{path}")).unwrap();
    }
    let watch = Watch::calls().unwrap();
    for path in ["old", "old", "new", "new", "no"] {
        client.say(&format!("{mark}/{path}")).unwrap();
    }
    let calls: Vec<NdjsonCall> = watch.end_with_calls("/").unwrap();
    let port = format!(":{}", server.address().port());
    let calls: Vec<_> = calls.into_iter().filter(|call| call.dst.ends_with(&port)).collect();
    // What the client had said before rests in a table that we have not seen; what it says now is learnt.
    let seen = tally(calls.iter().map(told));
    assert_eq!(calls.len(), 5, "{seen:?}");
    let named = calls.iter().filter(|call| call.path != "/{opaque}");
    let logged = fs::read_to_string(log).unwrap();
    for call in named {
        let known = |note: &str| call.notes.iter().any(|one| one == note);
        let status = if known("opaque-status") { String::new() } else { call.status.unwrap().to_string() };
        let line = format!("http2 {} {} {status}", call.method, call.path);
        assert!(logged.lines().any(|logged| logged.starts_with(&line)), "{line} was never asked for");
    }
    let opaque = |call: &NdjsonCall| call.notes.iter().any(|note| note == "opaque-fields");
    assert!(calls.iter().all(|call| call.path != "/{opaque}" || opaque(call)));
    assert_eq!(calls.iter().filter(|call| call.path == format!("{mark}/new")).count(), 2, "{seen:?}");
}

/// Debian's own: the modules of its packages are not those of another Python in the path.
const PYTHON: &str = "/usr/bin/python3";

/// Every kind of call; writes method, messages received and status of each.
pub(super) const GRPC_SERVER: Script = Script {
    interpreter: PYTHON,
    name: "grpc_server.py",
    text: r#"
import sys
from concurrent import futures
import grpc

log = open(sys.argv[3], "a", buffering=1)

def note(method, received, sent, status=0):
    log.write(f"grpc POST {method} 200 {status} {received} {sent}\n")

class Shop(grpc.GenericRpcHandler):
    def service(self, details):
        method = details.method
        def unary(request, context):
            note(method, 1, 1)
            return request * 2
        def fail(request, context):
            note(method, 1, 0, 5)
            context.abort(grpc.StatusCode.NOT_FOUND, "no")
        def watch(request, context):
            note(method, 1, 7)
            for size in range(7):
                yield b"x" * 100 * size
        def upload(requests, context):
            note(method, sum(1 for _ in requests), 1)
            return b"ok"
        def chat(requests, context):
            count = 0
            for request in requests:
                count += 1
                yield request
            note(method, count, count)
        kinds = {"Unary": (grpc.unary_unary_rpc_method_handler, unary), "Fail": (grpc.unary_unary_rpc_method_handler, fail),
            "Watch": (grpc.unary_stream_rpc_method_handler, watch), "Upload": (grpc.stream_unary_rpc_method_handler, upload),
            "Chat": (grpc.stream_stream_rpc_method_handler, chat)}
        handler = kinds.get(method.split("/")[-1])
        return handler and handler[0](handler[1])

server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((Shop(),))
server.add_insecure_port(f"{sys.argv[1]}:{sys.argv[2]}")
server.start()
server.wait_for_termination()
"#,
};

/// Makes every kind of call, and one of a method that there is not.
pub(super) const GRPC_CLIENT: Script = Script {
    interpreter: PYTHON,
    name: "grpc_client.py",
    text: r#"
import sys
import grpc

service = "/" + sys.argv[2] + ".Cart/"
with grpc.insecure_channel("127.0.0.1:" + sys.argv[1]) as channel:
    for size in (0, 10, 5000, 300000):
        channel.unary_unary(service + "Unary")(b"a" * size, timeout=10)
    for method in ("Fail", "Nothing"):
        try:
            channel.unary_unary(service + method)(b"q")
        except grpc.RpcError:
            pass
    for _ in range(3):
        assert len(list(channel.unary_stream(service + "Watch")(b"w"))) == 7
        channel.stream_unary(service + "Upload")(iter([b"m" * 5000] * 9))
        assert len(list(channel.stream_stream(service + "Chat")(iter([b"c" * n * 20 for n in range(11)])))) == 11
"#,
};

/// Whether Debian's gRPC for Python is here.
pub(super) fn have_grpc(name: &str) -> bool {
    let python = find_program(PYTHON).unwrap_or_default();
    let found = Command::new(python).args(["-c", "import grpc"]).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        skip(&format!("live::{name}"), "python3-grpcio is not installed: run make setup");
    }
    found
}

#[test]
fn grpc_of_every_kind() {
    let name = "http2::grpc_of_every_kind";
    if !can_run(name, &[PYTHON]) || !have_grpc(name) {
        return;
    }
    let service = format!("shop{}", std::process::id());
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = GRPC_SERVER.serve(&[log.to_str().unwrap()]).unwrap();
    let watch = Watch::calls().unwrap();
    GRPC_CLIENT.run(&[&server.address().port().to_string(), &service]).unwrap();
    let calls = watch.end_with_calls(&format!("/{service}")).unwrap();
    assert_eq!(tally(calls.iter().map(told)), answered(&log, &service));
    assert!(
        calls
            .iter()
            .all(|call| call.notes.iter().all(|note| note == "compressed" || note == "unimplemented")),
        "{calls:#?}"
    );
    let failed: Vec<_> = calls.iter().filter(|call| call.failed).map(|call| call.app_status).collect();
    assert_eq!(failed, [Some(5), Some(12)]);
}

/// What the server says it answered, and the call that it never saw: its library refused the method.
fn answered(log: &Path, service: &str) -> BTreeMap<String, usize> {
    let log = fs::read_to_string(log).unwrap();
    let lines = log.lines().map(|line| line.split(' ').take(5).collect::<Vec<_>>().join(" "));
    tally(lines.chain([format!("grpc POST /{service}.Cart/Nothing 200 12")]))
}
