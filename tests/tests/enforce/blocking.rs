//! Servers that read in blocking calls are told from those that do not.

use apisec_probe::enforce::ebpf::blocking;
use apisec_tests::client::connect;
use apisec_tests::script::Script;

use super::can_run;
use super::request::block;

/// A thread for each connection, in blocking reads.
const THREADED: Script = Script {
    interpreter: "python3",
    name: "threaded.py",
    text: "
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), SimpleHTTPRequestHandler).serve_forever()
",
};

/// One thread for all, which never waits in a read.
const EVENTS: Script = Script {
    interpreter: "node",
    name: "events.js",
    text: "
require('http').createServer((_, answer) => answer.end()).listen(Number(process.argv[3]), process.argv[2]);
",
};

#[test]
fn a_server_that_blocks_is_recognised() {
    let Some(_alone) = can_run("blocking::a_server_that_blocks_is_recognised", &["python3", "node"]) else {
        return;
    };
    let (threaded, events) = (THREADED.serve(&[]).unwrap(), EVENTS.serve(&[]).unwrap());
    let found = blocking(&block(threaded.address(), "/api/admin/{x}"));
    assert_eq!(found.map(|(pid, _)| pid), Some(threaded.id()));
    let _open = connect(events.address()).unwrap();
    assert_eq!(blocking(&block(events.address(), "/api/admin/{x}")), None);
}
