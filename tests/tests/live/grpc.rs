//! gRPC of every kind by libraries that we did not write: Debian's gRPC for Python, the newest one of PyPI, and gRPC-Web.

mod options;
mod tonic;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use apisec_engine::snapshot::EndpointView;
use apisec_tests::script::{PYTHON, Script, pypi};
use apisec_tests::skip::{find_program, skip};
use apisec_tests::watch::{Watch, mark};

use super::{can_run, tally, told};

/// Every kind of call; writes method, messages received and status of each.
pub(super) const SERVER: Script = Script::python(
    "grpc_server.py",
    r#"
import sys
sys.path[:0] = sys.argv[4:]
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
);

/// Makes every kind of call, and one of a method that there is not.
pub(super) const CLIENT: Script = Script::python(
    "grpc_client.py",
    r#"
import sys
sys.path[:0] = sys.argv[3:]
import grpc

service = sys.argv[2] + ".Cart/"
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
);

/// gRPC-Web by the library `sonora` behind Python's own server; prints what it answered.
const WEB_SERVER: Script = Script::python(
    "grpc_web_server.py",
    r#"
import sys
address, port, packages = sys.argv[1:]
sys.path.insert(0, packages)
from wsgiref.simple_server import WSGIRequestHandler, make_server
import grpc
from sonora.wsgi import grpcWSGI

same = lambda octets: octets

class Shop(grpc.GenericRpcHandler):
    def service(self, details):
        def answered(status): print("answered", details.method, status, flush=True)
        def unary(request, context):
            answered(0)
            return request * 2
        def fail(request, context):
            answered(5)
            context.abort(grpc.StatusCode.NOT_FOUND, "no")
        def watch(request, context):
            answered(0)
            for size in range(7): yield b"x" * 100 * size
        name = details.method.split("/")[-1]
        if name == "Watch": return grpc.unary_stream_rpc_method_handler(watch, same, same)
        return grpc.unary_unary_rpc_method_handler({"Unary": unary, "Fail": fail}[name], same, same)

class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments): pass

shop = grpcWSGI(None)
shop.add_generic_rpc_handlers((Shop(),))
make_server(address, int(port), shop, handler_class=Quiet).serve_forever()
"#,
);

/// Its client.
const WEB_CLIENT: Script = Script::python(
    "grpc_web_client.py",
    r#"
import sys
url, service, packages = sys.argv[1:]
sys.path.insert(0, packages)
import grpc, sonora.client
same = lambda octets: octets
with sonora.client.insecure_web_channel(url) as channel:
    def unary(method): return channel.unary_unary(service + method, same, same)
    for size in (1, 10, 5000):
        assert len(unary("Unary")(b"a" * size)) == 2 * size
    for _ in range(2):
        try: unary("Fail")(b"q")
        except grpc.RpcError as error: assert error.code() == grpc.StatusCode.NOT_FOUND
    assert len(list(channel.unary_stream(service + "Watch", same, same)(b"w"))) == 7
"#,
);

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
fn calls_of_every_kind() {
    let name = "grpc::calls_of_every_kind";
    if !can_run(name, &[PYTHON]) || !have_grpc(name) {
        return;
    }
    let service = mark("shop");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = SERVER.serve(&[log.to_str().unwrap()]).unwrap();
    let watch = Watch::calls().unwrap();
    CLIENT.run(&[&server.address().port().to_string(), &service]).unwrap();
    let calls = watch.end_with_calls(&service).unwrap();
    assert_eq!(tally(calls.iter().map(told)), answered(&log, &service));
    let usual = |note: &String| matches!(note.as_str(), "compressed" | "unimplemented" | "deadline");
    assert!(calls.iter().all(|call| call.notes.iter().all(usual)), "{calls:#?}");
    let failed: Vec<_> = calls.iter().filter(|call| call.failed).map(|call| call.app_status).collect();
    assert_eq!(failed, [Some(5), Some(12)]);
}

/// What the server says it answered, and the call that it never saw: its library refused the method.
fn answered(log: &Path, service: &str) -> BTreeMap<String, usize> {
    let log = fs::read_to_string(log).unwrap();
    let lines = log.lines().map(|line| line.split(' ').take(5).collect::<Vec<_>>().join(" "));
    tally(lines.chain([format!("grpc POST {service}.Cart/Nothing 200 12")]))
}

/// The newest library, and the messages that both sides say they sent.
#[test]
fn messages_are_counted() {
    if !can_run("grpc::messages_are_counted", &[PYTHON]) {
        return;
    }
    let (service, packages) = (mark("store"), pypi());
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = SERVER.serve(&[log.to_str().unwrap(), &packages]).unwrap();
    let watch = Watch::snapshot().unwrap();
    CLIENT.run(&[&server.address().port().to_string(), &service, &packages]).unwrap();
    let snapshot = watch.end_with_snapshot().unwrap();
    let mut logged: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for line in fs::read_to_string(&log).unwrap().lines() {
        let [_, _, path, _, _, received, sent] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let sums = logged.entry(path.to_owned()).or_default();
        let counts = [1, received.parse().unwrap(), sent.parse().unwrap()];
        sums.iter_mut().zip(counts).for_each(|(sum, count): (&mut u64, u64)| *sum += count);
    }
    assert_eq!(logged.len(), 5);
    let of = |endpoint: &EndpointView| {
        let [sent, answered] = endpoint.messages;
        (endpoint.path.clone(), [endpoint.calls, sent.count, answered.count])
    };
    let seen = snapshot.endpoints.iter().filter(|endpoint| logged.contains_key(&endpoint.path));
    assert_eq!(seen.map(of).collect::<BTreeMap<_, _>>(), logged);
    let uploads = snapshot.endpoints.iter().find(|endpoint| endpoint.path.ends_with("/Upload")).unwrap();
    assert_eq!((uploads.messages[0].bytes, uploads.messages[0].largest), (3 * 9 * 5000, 5000));
}

#[test]
fn the_web_kind() {
    if !can_run("grpc::the_web_kind", &[PYTHON]) {
        return;
    }
    let (service, packages) = (mark("web"), pypi());
    let server = WEB_SERVER.serve(&[&packages]).unwrap();
    let watch = Watch::calls().unwrap();
    WEB_CLIENT.run(&[&server.url(), &format!("{service}.Cart/"), &packages]).unwrap();
    let logged = server.printed("answered ", 6).unwrap();
    let calls = watch.end_with_calls(&service).unwrap();
    let mut logged = tally(logged.iter().map(|line| format!("grpc POST {}", line.replace(' ', " 200 "))));
    // Its trailers are the end of the body, and of the longest answer that was not captured.
    let unary = format!("grpc POST {service}.Cart/Unary 200");
    *logged.get_mut(&format!("{unary} 0")).unwrap() -= 1;
    logged.insert(unary, 1);
    assert_eq!(tally(calls.iter().map(told)), logged);
    assert_eq!(calls.iter().filter(|call| call.failed).count(), 2);
}
