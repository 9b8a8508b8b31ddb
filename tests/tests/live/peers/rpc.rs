//! Procedures by name in one place: SOAP by `spyne` and `zeep`, JSON-RPC by `jsonrpclib`.

use apisec_tests::script::{PYTHON, Script, pypi};
use apisec_tests::watch::{Watch, mark};

use crate::live::{can_run, tally};

/// A shop in SOAP 1.1, one of whose two procedures always fails.
const SOAP: Script = Script::python(
    "soap.py",
    r#"
import logging, sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
from spyne import Application, Fault, Integer, ServiceBase, Unicode, rpc
from spyne.protocol.soap import Soap11
from spyne.server.wsgi import WsgiApplication

class Shop(ServiceBase):
    @rpc(Unicode, _returns=Integer)
    def Price(context, item):
        print("called Price", flush=True)
        return len(item)
    @rpc(Integer, _returns=Unicode)
    def Refund(context, order):
        print("called Refund", flush=True)
        raise Fault("Server", "no")

class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments): pass

logging.disable(logging.CRITICAL)
shop = Application([Shop], "urn:shop", in_protocol=Soap11(validator="lxml"), out_protocol=Soap11())
make_server(sys.argv[1], int(sys.argv[2]), WsgiApplication(shop), handler_class=Quiet).serve_forever()
"#,
);

/// Reads its description and calls both.
const SOAP_CLIENT: Script = Script::python(
    "soap_client.py",
    r#"
import sys, zeep
client = zeep.Client(sys.argv[1] + "?wsdl")
for item in ("shoe", "hat", "coat"): assert client.service.Price(item) == len(item)
for order in (7, 8):
    try: client.service.Refund(order)
    except zeep.exceptions.Fault: pass
"#,
);

/// Three procedures, one of which always fails.
const JSON: Script = Script::python(
    "rpc.py",
    r#"
import logging, sys
address, port, packages = sys.argv[1:]
sys.path.insert(0, packages)
from jsonrpclib.SimpleJSONRPCServer import SimpleJSONRPCRequestHandler, SimpleJSONRPCServer

class Anywhere(SimpleJSONRPCRequestHandler):
    rpc_paths = ()

def add(a, b):
    print("called add", flush=True)
    return a + b
def note(text): print("called note", flush=True)
def fail():
    print("called fail", flush=True)
    raise ValueError("no")

logging.disable(logging.CRITICAL)
server = SimpleJSONRPCServer((address, int(port)), Anywhere, logRequests=False)
for function in (add, note, fail): server.register_function(function)
server.serve_forever()
"#,
);

/// Calls, fails, notifies, asks for what there is not, and sends a batch.
const JSON_CLIENT: Script = Script::python(
    "rpc_client.py",
    r#"
import sys
url, packages = sys.argv[1:]
sys.path.insert(0, packages)
import jsonrpclib
server = jsonrpclib.ServerProxy(url)
for n in range(4): assert server.add(n, 1) == n + 1
for method in ("fail", "nothing"):
    try: getattr(server, method)()
    except jsonrpclib.ProtocolError: pass
server._notify.note("x")
batch = jsonrpclib.MultiCall(server)
batch.add(1, 2); batch.add(3, 4)
assert list(batch()) == [3, 7]
"#,
);

#[test]
fn soap() {
    if !can_run("peers::rpc::soap", &[PYTHON]) {
        return;
    }
    let mark = mark("soap");
    let server = SOAP.serve(&[]).unwrap();
    let watch = Watch::calls().unwrap();
    SOAP_CLIENT.run(&[&format!("{}{mark}/shop", server.url())]).unwrap();
    let logged = server.printed("called ", 5).unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    let asked = calls.iter().filter(|call| call.protocol == "soap");
    assert_eq!(tally(asked.clone().map(|call| call.operation.clone())), tally(logged), "{calls:#?}");
    assert!(asked.clone().all(|call| call.failed == (call.operation == "Refund")), "{calls:#?}");
    // Its description is an ordinary document.
    assert!(calls.iter().all(|call| (call.protocol == "soap") == (call.method == "POST")), "{calls:#?}");
}

#[test]
fn json_rpc() {
    if !can_run("peers::rpc::json_rpc", &[PYTHON]) {
        return;
    }
    let (mark, packages) = (mark("jsonrpc"), pypi());
    let server = JSON.serve(&[&packages]).unwrap();
    let watch = Watch::calls().unwrap();
    JSON_CLIENT.run(&[&format!("{}{mark}/rpc", server.url()), &packages]).unwrap();
    // What is not there is called by nobody, and two calls of a batch are one.
    let logged = server.printed("called ", 8).unwrap().into_iter().chain(["{unknown}".to_owned()]);
    let calls = watch.end_with_calls(&mark).unwrap();
    let noted = |note: &str| calls.iter().filter(|call| call.notes.iter().any(|one| one == note)).count();
    let mut expected = tally(logged);
    *expected.get_mut("add").unwrap() -= 1;
    assert_eq!(tally(calls.iter().map(|call| call.operation.clone())), expected, "{calls:#?}");
    assert_eq!(noted("batch"), 1);
    let failed = |call: &&apisec_engine::ndjson::NdjsonCall| call.failed;
    let failed = tally(calls.iter().filter(failed).map(|call| call.operation.clone()));
    assert_eq!(failed, tally(["fail".to_owned(), "{unknown}".to_owned()]));
}
