//! Who is at the ends: one workload per server however many processes it has, names for clients that are
//! gone, scripts named by script, proxies followed.

use std::fs;

use apisec_engine::snapshot::{Snapshot, WorkloadView};
use apisec_tests::client::curl;
use apisec_tests::conversation::Conversation;
use apisec_tests::script::Script;
use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::watch::{Watch, mark};

use super::{can_run, each_once, pairs};

/// Answers every request, and first fetches the address that is its third argument, if there is one.
const PYTHON: Script = Script {
    interpreter: "python3",
    name: "orders.py",
    text: r#"
import sys, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if len(sys.argv) > 3:
            opener.open(sys.argv[3] + self.path).read()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *_):
        pass

ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"#,
};

const NODE: Script = Script {
    interpreter: "node",
    name: "stock.js",
    text: r#"
const [, , host, port] = process.argv;
require("http").createServer((_, answer) => answer.end("{}")).listen(Number(port), host);
"#,
};

const PERL: Script = Script {
    interpreter: "perl",
    name: "prices.pl",
    text: r#"
use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalAddr => $ARGV[0], LocalPort => $ARGV[1], Listen => 5, ReuseAddr => 1) or die;
while (my $stream = $listener->accept) {
    while (defined(my $line = <$stream>)) { last if $line eq "\r\n"; }
    print $stream "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    close $stream;
}
"#,
};

fn workload<'a>(snapshot: &'a Snapshot, id: &str) -> &'a WorkloadView {
    let ids: Vec<_> = snapshot.workloads.iter().map(|workload| &workload.id).collect();
    snapshot.workloads.iter().find(|workload| workload.id == id).unwrap_or_else(|| panic!("{id} in {ids:?}"))
}

#[test]
fn a_server_is_one_workload_and_two_servers_are_two() {
    if !can_run("workloads::a_server_is_one_workload_and_two_servers_are_two", &["nginx"]) {
        return;
    }
    let mark = mark("forked");
    let [first, second] =
        [4, 2].map(|workers| Nginx::start(NginxSetup { workers, ..NginxSetup::default() }).unwrap());
    let watch = Watch::calls().unwrap();
    for n in 0..40 {
        for (nginx, name) in [(&first, "first"), (&second, "second")] {
            // A new connection each: the kernel spreads them over the workers.
            Conversation::open(nginx.address()).unwrap().get(&format!("{mark}/{name}{n}")).unwrap();
        }
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, (0..40).flat_map(|n| ["first", "second"].map(|name| format!("{mark}/{name}{n}"))));
    for (nginx, name) in [(&first, "first"), (&second, "second")] {
        let start = format!("{mark}/{name}");
        let own: Vec<_> = calls.iter().filter(|call| call.path.starts_with(&start)).cloned().collect();
        let ends = pairs(&own);
        assert_eq!(ends.len(), 1, "{ends:?}");
        assert_eq!(ends[0].1, format!("process:nginx:{}", nginx.address().port()));
        assert!(own.iter().all(|call| call.dst_name == "nginx"));
    }
}

#[test]
fn a_client_that_is_gone_has_a_name_and_no_secrets() {
    if !can_run("workloads::a_client_that_is_gone_has_a_name_and_no_secrets", &["nginx", "curl"]) {
        return;
    }
    let mark = mark("gone");
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let (lines, totals) = (Watch::calls().unwrap(), Watch::snapshot().unwrap());
    let secret = "hunter2hunter2";
    // A copy of curl, so that no other curl on this node is the same workload.
    let folder = tempfile::tempdir().unwrap();
    let name = format!("curl{}", std::process::id());
    let copy = folder.path().join(&name);
    fs::copy(apisec_tests::skip::find_program("curl").unwrap(), &copy).unwrap();
    for n in 0..5 {
        let output = std::process::Command::new(&copy)
            .args(["-s", "--noproxy", "*", "-H", &format!("Authorization: Bearer {secret}")])
            .args(["-H", &format!("X-Api-Key: {secret}"), "--cookie", &format!("session={secret}")])
            .arg(format!("{}{mark}/n{n}?api_key={secret}", nginx.url()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let run = lines.end(rustix::process::Signal::INT).unwrap();
    assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "a secret was printed");
    let id = format!("process:{name}");
    let own = run.stdout.lines().filter(|line| line.contains(&format!("{mark}/"))).collect::<Vec<_>>();
    assert_eq!(own.len(), 5, "{own:?}");
    assert!(own.iter().all(|line| line.contains(&format!(r#""src":"{id}""#))), "{own:?}");
    let snapshot = totals.end_with_snapshot().unwrap();
    let printed = serde_json::to_string(&snapshot).unwrap();
    assert!(!printed.contains(secret), "a secret in the snapshot");
    let client = workload(&snapshot, &id);
    assert!(client.command.contains(&name) && client.command.contains("***"), "{client:?}");
    assert_eq!((client.calls_out, client.user.as_str()), (5, "root"));
}

#[test]
fn scripts_are_named_by_script() {
    if !can_run("workloads::scripts_are_named_by_script", &["python3", "node", "perl", "curl"]) {
        return;
    }
    let mark = mark("scripts");
    let servers = [PYTHON, NODE, PERL].map(|script| (script.name, script.serve(&[]).unwrap()));
    let watch = Watch::calls().unwrap();
    for (name, server) in &servers {
        for n in 0..3 {
            curl(&[&format!("{}{mark}/{name}/n{n}", server.url())]).unwrap();
        }
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(
        &calls,
        servers
            .iter()
            .flat_map(|(name, _)| (0..3).map(|n| format!("{mark}/{name}/n{n}")).collect::<Vec<_>>()),
    );
    let mut expected: Vec<_> = servers
        .iter()
        .map(|(name, server)| {
            ("process:curl".to_owned(), format!("process:{name}:{}", server.address().port()))
        })
        .collect();
    expected.sort_unstable();
    let seen: Vec<_> = pairs(&calls).iter().map(|(src, dst)| (src.to_string(), dst.to_string())).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_server_that_calls_is_the_same_workload_at_both_ends() {
    let name = "workloads::a_server_that_calls_is_the_same_workload_at_both_ends";
    if !can_run(name, &["nginx", "python3", "curl"]) {
        return;
    }
    let mark = mark("follow");
    let stock = Nginx::start(NginxSetup::default()).unwrap();
    let orders = PYTHON.serve(&[&stock.url()]).unwrap();
    let pass = format!("location / {{ proxy_pass {}; }}", orders.url());
    let front = Nginx::start(NginxSetup { server: &pass, workers: 2, ..NginxSetup::default() }).unwrap();
    let watch = Watch::snapshot().unwrap();
    for n in 0..8 {
        curl(&[&format!("{}{mark}/n{n}", front.url())]).unwrap();
    }
    let snapshot = watch.end_with_snapshot().unwrap();
    let ids = [
        format!("process:nginx:{}", front.address().port()),
        format!("process:orders.py:{}", orders.address().port()),
        format!("process:nginx:{}", stock.address().port()),
    ];
    let [front, orders, stock] = &ids;
    let mut edges: Vec<_> = snapshot
        .edges
        .iter()
        .filter(|edge| ids.contains(&edge.src) || ids.contains(&edge.dst))
        .map(|edge| (edge.src.as_str(), edge.dst.as_str(), edge.calls, edge.errors))
        .collect();
    edges.sort_unstable();
    let mut expected = [
        ("process:curl", front.as_str(), 8, 0),
        (front.as_str(), orders.as_str(), 8, 0),
        (orders.as_str(), stock.as_str(), 8, 0),
    ];
    expected.sort_unstable();
    assert_eq!(edges, expected);
    for (id, calls_in, calls_out) in [(front, 8, 8), (orders, 8, 8), (stock, 8, 0)] {
        let seen = workload(&snapshot, id);
        assert_eq!((seen.calls_in, seen.calls_out), (calls_in, calls_out), "{id}");
    }
    let chains: Vec<_> = snapshot.chains.iter().filter(|chain| chain.path.contains(front)).collect();
    assert!(
        chains.iter().any(|chain| chain.path.starts_with(&[
            "process:curl".into(),
            front.clone(),
            orders.clone()
        ]) && chain.calls == 8),
        "{chains:?}"
    );
}
