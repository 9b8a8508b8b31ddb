//! What a caller may say of a call: how long it waits, that messages are compressed; and what it may ask a server about itself.

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::script::{PYTHON, Script, pypi};
use apisec_tests::watch::{Watch, mark};

use super::have_grpc;
use crate::live::{can_run, tally, told};

/// Debian's gRPC with the reflection of its authors; prints method and status of each call.
const SERVER: Script = Script::python(
    "grpc_options.py",
    r#"
import sys, time
address, port, packages, service = sys.argv[1:]
from concurrent import futures
import grpc
sys.path.append(packages)
from grpc_reflection.v1alpha import reflection
def answered(method, status): print("answered", method, status, flush=True)
class Shop(grpc.GenericRpcHandler):
    def service(self, details):
        method = details.method
        if not method.startswith(f"/{service}"): return None
        def unary(request, context):
            if method.endswith("Slow"):
                answered(method, 4)
                time.sleep(1)
            else: answered(method, 0)
            return request * 2
        return grpc.unary_unary_rpc_method_handler(unary)
server = grpc.server(futures.ThreadPoolExecutor(4), compression=grpc.Compression.Gzip)
server.add_generic_rpc_handlers((Shop(),))
reflection.enable_server_reflection([f"{service}.Cart", reflection.SERVICE_NAME], server)
server.add_insecure_port(f"{address}:{port}")
server.start()
server.wait_for_termination()
"#,
);

const CLIENT: Script = Script::python(
    "grpc_options_client.py",
    r#"
import sys
port, service, packages = sys.argv[1:]
import grpc
sys.path.append(packages)
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
with grpc.insecure_channel("127.0.0.1:" + port) as channel:
    def call(method, **more): return channel.unary_unary(f"/{service}.Cart/{method}")(b"a" * 3000, **more)
    for _ in range(3): call("Plain")
    for _ in range(2): call("Patient", timeout=60)
    for _ in range(4): call("Zipped", compression=grpc.Compression.Gzip)
    try: call("Slow", timeout=0.2)
    except grpc.RpcError as error: assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    names = [one.name for answer in stub.ServerReflectionInfo(iter([asked])) for one in answer.list_services_response.service]
    assert f"{service}.Cart" in names
"#,
);

fn noted(call: &NdjsonCall, note: &str) -> bool {
    call.notes.iter().any(|one| one == note)
}

#[test]
fn deadlines_compression_and_reflection() {
    let name = "grpc::options::deadlines_compression_and_reflection";
    if !can_run(name, &[PYTHON]) || !have_grpc(name) {
        return;
    }
    let (service, packages) = (mark("options").trim_start_matches('/').to_owned(), pypi());
    let server = SERVER.serve(&[&packages, &service]).unwrap();
    let watch = Watch::calls().unwrap();
    CLIENT.run(&[&server.address().port().to_string(), &service, &packages]).unwrap();
    let port = format!(":{}", server.address().port());
    let calls = watch.end_with_calls("/").unwrap();
    let calls: Vec<_> = calls.into_iter().filter(|call| call.dst.ends_with(&port)).collect();
    let of = |note: &str| {
        let noted = calls.iter().filter(|call| noted(call, note));
        tally(noted.map(|call| call.path.rsplit('/').next().unwrap().to_owned()))
    };
    let times = |said: &[(&str, usize)]| said.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    assert_eq!(of("deadline"), times(&[("Patient", 2), ("Slow", 1)]), "{calls:#?}");
    assert_eq!(of("reflection"), times(&[("ServerReflectionInfo", 1)]), "{calls:#?}");
    // The server compresses every answer.
    assert_eq!(of("compressed")["Zipped"], 4, "{calls:#?}");
    // Who has waited long enough resets the call: what came of it is known to nobody.
    let answered = |call: &&NdjsonCall| call.path.contains(&service) && !call.path.ends_with("/Slow");
    let seen = tally(calls.iter().filter(answered).map(told));
    let logged = server.printed("answered ", 10).unwrap();
    let logged = logged.iter().filter(|line| !line.contains("/Slow"));
    assert_eq!(seen, tally(logged.map(|line| format!("grpc POST {}", line.replace(' ', " 200 ")))));
    let slow = calls.iter().find(|call| call.path.ends_with("/Slow")).unwrap();
    // Whose clock was first: the server's says so, the client's resets.
    assert!(slow.app_status == Some(4) || noted(slow, "overdue") || noted(slow, "reset"), "{slow:?}");
}
