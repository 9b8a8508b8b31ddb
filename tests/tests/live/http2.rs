//! HTTP/2 in clear of peers that we did not write, counted against their own logs.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::client::curl;
use apisec_tests::script::Script;
use apisec_tests::server::{Nginx, NginxSetup, free_port};
use apisec_tests::watch::{Watch, mark};

use super::{can_run, run, tally, told};

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
