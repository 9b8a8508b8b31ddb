//! Who has only just come has the right name from the first call: servers that start while we watch, clients
//! that begin to listen, clients that are gone at once, pids that are used again, empty namespaces.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::client::curl;
use apisec_tests::eventually;
use apisec_tests::netns::Pair;
use apisec_tests::script::Script;
use apisec_tests::server::{Nginx, NginxSetup, free_port};
use apisec_tests::watch::{Watch, mark};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{can_run, each_once, pairs};

/// Fetches the address that it is told a few times, and listens at the port that it is told, when it is told.
const GATEWAY: Script = Script {
    interpreter: "python3",
    name: "gateway.py",
    text: r#"
import sys, threading, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *_):
        pass

for line in sys.stdin:
    word, value = line.split()
    if word == "fetch":
        opener.open(value).read()
    else:
        server = ThreadingHTTPServer(("127.0.0.1", int(value)), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("done", flush=True)
"#,
};

const SERVER: Script = Script {
    interpreter: "python3",
    name: "newcomer.py",
    text: r#"
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *_):
        pass

HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"#,
};

/// A curl that nobody else runs: a copy under a name of its own.
fn own_curl(folder: &TempDir, name: &str) -> PathBuf {
    let copy = folder.path().join(format!("{name}{}", std::process::id()));
    fs::copy(apisec_tests::skip::find_program("curl").unwrap(), &copy).unwrap();
    copy
}

/// Longer than any call waits for a name: only time can show that.
fn until_nothing_is_held_back() {
    let started = Instant::now();
    let over = || (started.elapsed() > Duration::from_millis(2_500)).then_some(());
    eventually("the calls have been counted", Duration::from_secs(60), over).unwrap();
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_new_servers_first_calls_are_its_own() {
    if !can_run("newcomers::a_new_servers_first_calls_are_its_own", &["python3", "nginx", "curl"]) {
        return;
    }
    let mark = mark("newcomer");
    let watch = Watch::calls().unwrap();
    let (mut expected, mut running) = (Vec::new(), Vec::new());
    for n in 0..6 {
        // It is called as soon as it listens, and never again.
        let (name, address, server): (_, _, Box<dyn std::any::Any>) = if n % 2 == 0 {
            let server = SERVER.serve(&[]).unwrap();
            ("newcomer.py", server.address(), Box::new(server))
        } else {
            // Its workers are there before they have been seen.
            let server = Nginx::start(NginxSetup { workers: 3, ..NginxSetup::default() }).unwrap();
            ("nginx", server.address(), Box::new(server))
        };
        curl(&[&format!("http://{address}{mark}/n{n}")]).unwrap();
        expected.push(("process:curl".to_owned(), format!("process:{name}:{}", address.port())));
        running.push(server);
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    drop(running);
    each_once(&calls, (0..6).map(|n| format!("{mark}/n{n}")));
    expected.sort_unstable();
    let seen: Vec<_> = pairs(&calls).iter().map(|(src, dst)| (src.to_string(), dst.to_string())).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_client_that_begins_to_listen_stays_one_workload() {
    let name = "newcomers::a_client_that_begins_to_listen_stays_one_workload";
    if !can_run(name, &["python3", "nginx", "curl"]) {
        return;
    }
    let mark = mark("becomes");
    let stock = Nginx::start(NginxSetup::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("session.apisec");
    let watch = Watch::start(&["--output", "json", "--record", session.to_str().unwrap()]).unwrap();
    let mut gateway = GATEWAY.speak(&[]).unwrap();
    for n in 0..3 {
        gateway.say(&format!("fetch {}{mark}/early{n}", stock.url())).unwrap();
    }
    // They have been counted under the name that it had.
    until_nothing_is_held_back();
    let port = free_port([127, 0, 0, 1].into()).unwrap();
    gateway.say(&format!("listen {port}")).unwrap();
    curl(&[&format!("http://127.0.0.1:{port}{mark}/called")]).unwrap();
    for n in 0..2 {
        gateway.say(&format!("fetch {}{mark}/late{n}", stock.url())).unwrap();
    }
    let snapshot = watch.end_with_snapshot().unwrap();
    let replayed = apisec_tests::tool::run(
        &["replay", session.to_str().unwrap(), "--headless", "--output", "json"],
        Duration::from_secs(60),
    )
    .unwrap();
    let replayed = serde_json::from_value(replayed.json().unwrap()).unwrap();
    for (how, snapshot) in [("live", snapshot), ("replayed", replayed)] {
        let own: Vec<_> = (snapshot.workloads.iter())
            .filter(|workload| workload.id.contains("gateway.py"))
            .map(|workload| (workload.id.clone(), workload.calls_in, workload.calls_out))
            .collect();
        assert_eq!(own, [(format!("process:gateway.py:{port}"), 1, 5)], "{how}");
    }
}

#[test]
fn a_client_that_listens_soon_has_one_name_in_every_line() {
    let name = "newcomers::a_client_that_listens_soon_has_one_name_in_every_line";
    if !can_run(name, &["python3", "nginx"]) {
        return;
    }
    let mark = mark("soon");
    let stock = Nginx::start(NginxSetup::default()).unwrap();
    let watch = Watch::calls().unwrap();
    let mut gateway = Script { name: "soon.py", ..GATEWAY }.speak(&[]).unwrap();
    gateway.say(&format!("fetch {}{mark}/early", stock.url())).unwrap();
    let port = free_port([127, 0, 0, 1].into()).unwrap();
    gateway.say(&format!("listen {port}")).unwrap();
    gateway.say(&format!("fetch {}{mark}/late", stock.url())).unwrap();
    until_nothing_is_held_back();
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, ["early", "late"].map(|name| format!("{mark}/{name}")));
    let id = format!("process:soon.py:{port}");
    assert_eq!(pairs(&calls), [(id.as_str(), format!("process:nginx:{}", stock.address().port()).as_str())]);
}

#[test]
fn a_pid_that_is_used_again_is_another_client() {
    const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
    let name = "newcomers::a_pid_that_is_used_again_is_another_client";
    if !can_run(name, &["nginx", "curl"]) {
        return;
    }
    if !fs::exists(LAST_PID).unwrap() {
        apisec_tests::skip::skip(&format!("live::{name}"), "no checkpoint/restore in this kernel");
        return;
    }
    let mark = mark("again");
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| own_curl(&folder, name));
    let watch = Watch::calls().unwrap();
    let call = |program: &PathBuf, path: &str| {
        let mut command = Command::new(program);
        command.args(["-s", "--noproxy", "*"]).arg(format!("{}{mark}/{path}", nginx.url()));
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        assert!(child.wait_with_output().unwrap().status.success());
        pid
    };
    // Others take pids too: tried until it comes out right.
    let mut asked = Vec::new();
    eventually("a pid is used again", Duration::from_secs(60), || {
        let n = asked.len();
        let first = call(&one, &format!("one{n}"));
        fs::write(LAST_PID, (first - 1).to_string()).unwrap();
        let second = call(&two, &format!("two{n}"));
        asked.extend([format!("{mark}/one{n}"), format!("{mark}/two{n}")]);
        (first == second).then_some(())
    })
    .unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, asked);
    for NdjsonCall { path, src, .. } in &calls {
        let own = path.strip_prefix(&format!("{mark}/")).unwrap().get(..3).unwrap();
        assert_eq!(*src, format!("process:{own}{}", std::process::id()), "{path}");
    }
}

#[test]
fn a_client_in_a_namespace_where_nobody_lives_is_there() {
    let name = "newcomers::a_client_in_a_namespace_where_nobody_lives_is_there";
    if !can_run(name, &["nginx", "curl", "ip"]) {
        return;
    }
    let mark = mark("empty");
    let folder = tempfile::tempdir().unwrap();
    let own = own_curl(&folder, "lonely");
    let watch = Watch::calls().unwrap();
    // Made while we watch; only the server's side has somebody in it.
    let pair = Pair::new().unwrap();
    let address = (Pair::RIGHT, free_port([127, 0, 0, 1].into()).unwrap()).into();
    let nginx = Nginx::start(NginxSetup {
        listen: Some(address),
        namespace: Some(&pair.right),
        ..NginxSetup::default()
    })
    .unwrap();
    for n in 0..5 {
        let url = format!("http://{address}{mark}/n{n}");
        run(pair.left.command(own.to_str().unwrap()).args(["-s", "--max-time", "15", &url]));
    }
    drop(nginx);
    let inode = |name: &str| fs::metadata(format!("/run/netns/{name}")).unwrap().ino();
    let (left, right) = (inode(pair.left.name()), inode(pair.right.name()));
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, (0..5).map(|n| format!("{mark}/n{n}")));
    let src = format!("process:lonely{}@{left}", std::process::id());
    let dst = format!("process:nginx:{}@{right}", address.port());
    assert_eq!(pairs(&calls), [(src.as_str(), dst.as_str())]);
}

#[test]
fn short_lived_clients_are_told_apart() {
    if !can_run("newcomers::short_lived_clients_are_told_apart", &["nginx", "curl"]) {
        return;
    }
    let mark = mark("short");
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let programs = ["alpha", "beta", "gamma"].map(|name| own_curl(&folder, name));
    let watch = Watch::calls().unwrap();
    for n in 0..60 {
        let program = &programs[n % programs.len()];
        let name = program.file_name().unwrap().to_str().unwrap();
        let url = format!("{}{mark}/{name}/n{n}", nginx.url());
        run(Command::new(program).args(["-s", "--noproxy", "*", &url]));
    }
    let run = watch.end(Signal::INT).unwrap();
    let calls: Vec<NdjsonCall> = (run.stdout.lines())
        .filter(|line| line.contains(&mark))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(calls.len(), 60);
    for call in &calls {
        let name = call.path.split('/').nth(2).unwrap();
        assert_eq!(call.src, format!("process:{name}"), "{}", call.path);
    }
}
