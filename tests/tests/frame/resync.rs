//! A half-read connection is closed by one key, and its successor is read whole.

use std::cell::RefCell;
use std::path::Path;
use std::{fs, process};

use apisec_tests::script::Script;
use apisec_tests::skip::have_programs;
use apisec_tests::tool;

use super::screen::{Screen, can_run_live};

const SERVER: Script = Script {
    interpreter: "node",
    name: "h2_resync_server.js",
    text: r#"
const http2 = require('http2')
const [address, port] = process.argv.slice(2)
http2.createServer((request, response) => {
  request.resume()
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end('{"a":1}')
}).listen(Number(port), address)
"#,
};

/// Asks for every path that it is told, on one connection while that lasts, and says on which one. A connection that goes
/// while it is asked on may take the question along without a word: then the end of the question is what is said.
const CLIENT: Script = Script {
    interpreter: "node",
    name: "h2_resync_client.js",
    text: r#"
const http2 = require('http2')
let session, connections = 0
function open() {
  session = http2.connect(`http://127.0.0.1:${process.argv[2]}`)
  connections += 1
  session.on('error', () => {})
  session.on('close', () => { session = null })
}
require('readline').createInterface({ input: process.stdin }).on('line', path => {
  if (!session || session.closed || session.destroyed) open()
  let said = false
  const say = word => { if (!said) console.log(word); said = true }
  const stream = session.request({ ':path': path })
  stream.resume()
  stream.on('response', head => say(`${head[':status']} ${connections}`))
  stream.on('error', error => say(error.code))
  stream.on('close', () => say('closed'))
})
"#,
};

#[test]
fn one_key_closes_a_half_read_connection() {
    let name = "frame::one_key_closes_a_half_read_connection";
    if !can_run_live(name) || !have_programs(name, &["node"]) {
        return;
    }
    let path = |word: &str| format!("/{word}-{}", process::id());
    let state = tempfile::tempdir().unwrap();
    let server = SERVER.serve(&[]).unwrap();
    let client = RefCell::new(CLIENT.speak(&[&server.address().port().to_string()]).unwrap());
    let say = |path: &str| client.borrow_mut().say(path).unwrap();
    // What is said now rests in a table that the tool does not know.
    for _ in 0..3 {
        assert_eq!(say(&path("before")), "200 1");
    }
    let service = format!(":{}", server.address().port());
    let screen = watch(state.path(), &service);
    screen.press("6");
    // Attached is what has told of a call.
    screen.until("the half-read connection", |text| {
        assert_eq!(say(&path("before")), "200 1");
        text.contains(" r resync")
    });
    screen.press_until("r", "a question", |text| text.contains("cannot be taken back"));
    screen.press_until("Escape", "no question", |text| !text.contains("cannot be taken back"));
    assert_eq!(say(&path("before")), "200 1");
    screen.press_until("r", "a question", |text| text.contains("cannot be taken back"));
    screen.press_until("Enter", "nothing left to close", |text| {
        text.contains("─ Coverage ─") && !text.contains(" r resync")
    });
    // The client notices before it asks again, or asks again.
    screen.until("another connection", |_| say(&path("after")) == "200 2");
    assert_eq!(say(&path("after")), "200 2");
    screen.press("4");
    screen.until("a path that is read", |text| text.contains(&path("after")));
    let audit = fs::read_to_string(state.path().join("audit.log")).unwrap();
    let deed: serde_json::Value = serde_json::from_str(audit.trim()).unwrap();
    assert_eq!((&deed["what"], &deed["outcome"]), (&"resync".into(), &"closed".into()), "{audit}");
    assert!(deed["object"].as_str().unwrap().contains(&server.address().to_string()), "{audit}");
}

/// The tool over one service, with a state folder of its own.
fn watch(state: &Path, service: &str) -> Screen {
    let filter = format!("service:*{service}");
    let arguments = ["live", "--state", state.to_str().unwrap(), "--filter", &filter];
    let command = tool::command(&arguments).unwrap();
    Screen::start_command(120, 30, &command, "LIVE")
}
