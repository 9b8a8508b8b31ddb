//! IPv6, IPv4-mapped addresses, and network namespaces: every exchange once, and between the right two.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;

use apisec_tests::client::curl;
use apisec_tests::netns::{Namespace, Pair};
use apisec_tests::process::Process;
use apisec_tests::script::Script;
use apisec_tests::server::{Nginx, NginxSetup, free_port};
use apisec_tests::watch::{Watch, mark};

use super::{can_run, each_once, pairs};

/// Listens on every address of both families with one socket: IPv4 peers have mapped addresses.
const DUAL_STACK: Script = Script {
    interpreter: "python3",
    name: "dual_stack.py",
    text: r#"
import socket, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

class Server(HTTPServer):
    address_family = socket.AF_INET6
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

Server(("::", int(sys.argv[2])), Handler).serve_forever()
"#,
};

fn inode(namespace: &Namespace) -> u64 {
    fs::metadata(format!("/run/netns/{}", namespace.name())).unwrap().ino()
}

fn fetch(namespace: &Namespace, url: &str) {
    let output = namespace.command("curl").args(["-sS", "--max-time", "15", url]).output().unwrap();
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn ipv6_and_mapped_addresses() {
    if !can_run("addresses::ipv6_and_mapped_addresses", &["nginx", "python3", "curl"]) {
        return;
    }
    let mark = mark("six");
    let port = free_port(Ipv6Addr::LOCALHOST.into()).unwrap();
    let listen = Some(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    let nginx = Nginx::start(NginxSetup { listen, ..NginxSetup::default() }).unwrap();
    let python = DUAL_STACK.serve(&[]).unwrap();
    let watch = Watch::calls().unwrap();
    let python_port = python.address().port();
    for n in 0..5 {
        curl(&[&format!("{}{mark}/six{n}", nginx.url())]).unwrap();
        let mapped = curl(&[&format!("{}{mark}/mapped{n}", python.url())]).unwrap();
        assert_eq!(mapped, b"::ffff:127.0.0.1");
        curl(&[&format!("http://[::1]:{python_port}{mark}/both{n}")]).unwrap();
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, (0..5).flat_map(|n| ["six", "mapped", "both"].map(|name| format!("{mark}/{name}{n}"))));
    assert!(calls.iter().all(|call| call.vantage == "server" && call.status == Some(200)), "{calls:?}");
    let (nginx, python) = (format!("process:nginx:{port}"), format!("process:dual_stack.py:{python_port}"));
    let mut expected = [("process:curl", nginx.as_str()), ("process:curl", python.as_str())];
    expected.sort_unstable();
    assert_eq!(pairs(&calls), expected);
}

#[test]
fn two_namespaces_over_veth() {
    if !can_run("addresses::two_namespaces_over_veth", &["nginx", "curl", "ip"]) {
        return;
    }
    let mark = mark("veth");
    let pair = Pair::new().unwrap();
    // A namespace is known by the processes that live in it: curl has gone before anybody looks.
    let mut resident = pair.left.command("sleep");
    resident.arg("60");
    let _resident = Process::start(resident).unwrap();
    let servers = [Pair::RIGHT, Pair::RIGHT_V6].map(|address| {
        let listen = Some((address, 8080).into());
        Nginx::start(NginxSetup { listen, namespace: Some(&pair.right), ..NginxSetup::default() }).unwrap()
    });
    let watch = Watch::calls().unwrap();
    for n in 0..5 {
        for (nginx, name) in servers.iter().zip(["four", "six"]) {
            fetch(&pair.left, &format!("{}{mark}/{name}{n}", nginx.url()));
        }
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, (0..5).flat_map(|n| ["four", "six"].map(|name| format!("{mark}/{name}{n}"))));
    assert!(calls.iter().all(|call| call.vantage == "server"));
    let client = format!("process:curl@{}", inode(&pair.left));
    let server = format!("process:nginx:8080@{}", inode(&pair.right));
    assert_eq!(pairs(&calls), [(client.as_str(), server.as_str())]);
}

#[test]
fn the_same_address_in_two_namespaces() {
    if !can_run("addresses::the_same_address_in_two_namespaces", &["nginx", "curl", "ip"]) {
        return;
    }
    let mark = mark("twin");
    let twins = [Namespace::new().unwrap(), Namespace::new().unwrap()];
    let listen = Some(SocketAddr::from(([127, 0, 0, 1], 8081)));
    let servers = twins.each_ref().map(|twin| {
        Nginx::start(NginxSetup { listen, namespace: Some(twin), ..NginxSetup::default() }).unwrap()
    });
    let watch = Watch::calls().unwrap();
    for n in 0..4 {
        for (name, twin) in ["a", "b"].iter().zip(&twins) {
            fetch(twin, &format!("http://127.0.0.1:8081{mark}/{name}{n}"));
        }
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, (0..4).flat_map(|n| ["a", "b"].map(|name| format!("{mark}/{name}{n}"))));
    for (name, twin) in ["a", "b"].iter().zip(&twins) {
        let start = format!("{mark}/{name}");
        let own: Vec<_> = calls.iter().filter(|call| call.path.starts_with(&start)).cloned().collect();
        let inode = inode(twin);
        let (client, server) = (format!("process:curl@{inode}"), format!("process:nginx:8081@{inode}"));
        assert_eq!(pairs(&own), [(client.as_str(), server.as_str())], "{name}");
    }
    drop(servers);
}

#[test]
fn a_chain_through_three_namespaces_and_a_client_on_the_host() {
    let name = "addresses::a_chain_through_three_namespaces_and_a_client_on_the_host";
    if !can_run(name, &["nginx", "curl", "ip"]) {
        return;
    }
    let mark = mark("three");
    let pair = Pair::new().unwrap();
    let host = Uplink::new(&pair.left).unwrap();
    let behind = NginxSetup {
        listen: Some((Pair::RIGHT, 8083).into()),
        namespace: Some(&pair.right),
        ..NginxSetup::default()
    };
    let behind = Nginx::start(behind).unwrap();
    let pass = format!("location / {{ proxy_pass {}; }}", behind.url());
    let front = NginxSetup {
        server: &pass,
        listen: Some((host.inside, 8082).into()),
        namespace: Some(&pair.left),
        ..NginxSetup::default()
    };
    let front = Nginx::start(front).unwrap();
    let (lines, totals) = (Watch::calls().unwrap(), Watch::snapshot().unwrap());
    for n in 0..5 {
        curl(&[&format!("{}{mark}/n{n}", front.url())]).unwrap();
    }
    let calls = lines.end_with_calls(&mark).unwrap();
    let proxy = format!("process:nginx:8082@{}", inode(&pair.left));
    let server = format!("process:nginx:8083@{}", inode(&pair.right));
    assert_eq!(calls.len(), 10, "{calls:?}");
    for (src, dst) in [("process:curl", proxy.as_str()), (proxy.as_str(), server.as_str())] {
        let hop: Vec<_> = calls.iter().filter(|call| call.src == src && call.dst == dst).cloned().collect();
        each_once(&hop, (0..5).map(|n| format!("{mark}/n{n}")));
    }
    let snapshot = totals.end_with_snapshot().unwrap();
    let edges: Vec<_> =
        snapshot.edges.iter().filter(|edge| edge.dst == proxy || edge.dst == server).collect();
    assert_eq!(edges.len(), 2, "{edges:?}");
    assert!(edges.iter().all(|edge| edge.calls == 5 && edge.errors == 0), "{edges:?}");
    let chain = snapshot.chains.iter().find(|chain| chain.path.contains(&proxy));
    let path = ["process:curl".to_owned(), proxy, server];
    assert_eq!(chain.map(|chain| (chain.path.as_slice(), chain.calls)), Some((path.as_slice(), 5)));
}

/// A veth pair from this namespace into another.
struct Uplink {
    inside: std::net::IpAddr,
}

impl Uplink {
    fn new(namespace: &Namespace) -> anyhow::Result<Self> {
        let pid = std::process::id();
        let name = format!("ap{pid}");
        let subnet = format!("10.{}.{}", 214 + (pid >> 14 & 15), pid >> 6 & 255);
        let base = (pid & 63) * 4;
        let ip = |arguments: &[&str]| {
            let output = std::process::Command::new("ip").args(arguments).output()?;
            anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Ok(())
        };
        ip(&["link", "add", &name, "type", "veth", "peer", "name", "uplink", "netns", namespace.name()])?;
        ip(&["address", "add", &format!("{subnet}.{}/30", base + 1), "dev", &name])?;
        ip(&["link", "set", &name, "up"])?;
        let inside = format!("{subnet}.{}", base + 2);
        namespace.ip(&["address", "add", &format!("{inside}/30"), "dev", "uplink"])?;
        namespace.ip(&["link", "set", "uplink", "up"])?;
        Ok(Self { inside: inside.parse()? })
    }
}
