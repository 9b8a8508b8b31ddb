//! Calls inside TLS, with servers and clients that we did not write, counted against the server's own log.

mod boring;
mod coverage;
mod foreign;
mod go;
mod rustls;
mod session;
mod starttls;
mod wheel;

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::certificate::Certificate;
use apisec_tests::client::curl;
use apisec_tests::script::Script;
use apisec_tests::server::{Logged, Nginx, NginxSetup, Server};
use apisec_tests::watch::{Watch, mark};

use super::{can_run, each_once, pairs};

/// Python's own server with its own ssl module, which keeps connections alive: every answer is its path.
const PYTHON: Script = Script {
    interpreter: "python3",
    name: "vault.py",
    text: r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])
server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"#,
};

/// Python's asyncio, which gives ciphertext to OpenSSL through memory.
const ASYNCIO: Script = Script {
    interpreter: "python3",
    name: "asyncvault.py",
    text: r#"
import asyncio, ssl, sys
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body = head.split(b" ")[1]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server = await asyncio.start_server(serve, sys.argv[1], int(sys.argv[2]), ssl=context)
    await server.serve_forever()
asyncio.run(main())
"#,
};

/// Node, which has its own OpenSSL inside.
const NODE: Script = Script {
    interpreter: "node",
    name: "vault.js",
    text: r#"
const https = require("https"), fs = require("fs");
const [address, port, chain, key] = process.argv.slice(2);
const server = https.createServer({ cert: fs.readFileSync(chain), key: fs.readFileSync(key) },
  (request, response) => response.end(request.url));
server.keepAliveTimeout = 60000;
server.listen(Number(port), address);
"#,
};

/// Asks for every URL of its arguments, over one connection where it can, with Python's http.client.
const PYTHON_CLIENT: Script = Script {
    interpreter: "python3",
    name: "askvault.py",
    text: r#"
import http.client, ssl, sys
address, port, *paths = sys.argv[1:]
connection = http.client.HTTPSConnection(address, int(port), context=ssl._create_unverified_context())
for path in paths:
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.read() and answer.status == 200
"#,
};

/// The same with node, over one agent that keeps connections alive.
const NODE_CLIENT: Script = Script {
    interpreter: "node",
    name: "askvault.js",
    text: r#"
const https = require("https");
const [host, port, ...paths] = process.argv.slice(2);
const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
const ask = (path) => new Promise((resolve, reject) =>
  https.get({ host, port, path, agent }, (answer) => { answer.resume(); answer.on("end", resolve); }).on("error", reject));
(async () => { for (const path of paths) await ask(path); agent.destroy(); })();
"#,
};

/// A URL with TLS.
fn url(nginx: &Nginx, path: &str) -> String {
    format!("https://{}{path}", nginx.address())
}

/// What nginx logged and what was seen agree, call by call.
#[track_caller]
fn agree(log: &[Logged], calls: &[NdjsonCall]) {
    each_once(calls, log.iter().map(|line| line.uri.clone()));
    for line in log {
        let call = calls.iter().find(|call| call.path == line.uri).unwrap();
        let seen = (call.method.as_str(), call.status, call.request_bytes, call.response_bytes);
        assert_eq!(
            seen,
            (line.method.as_str(), Some(line.status), line.request_length, line.bytes_sent),
            "{}",
            line.uri
        );
        // nginx tells its version.
        assert!(call.notes.iter().all(|note| note == "banner"), "{}: {:?}", line.uri, call.notes);
    }
}

#[test]
fn openssl_at_both_ends_is_one_call_each() {
    let name = "tls::openssl_at_both_ends_is_one_call_each";
    if !can_run(name, &["nginx", "curl", "openssl"]) {
        return;
    }
    let mark = mark("openssl");
    let certificate = Certificate::new().unwrap();
    let before =
        Nginx::start(NginxSetup { certificate: Some(&certificate), ..NginxSetup::default() }).unwrap();
    let watch = Watch::calls().unwrap();
    let after =
        Nginx::start(NginxSetup { certificate: Some(&certificate), workers: 2, ..NginxSetup::default() })
            .unwrap();
    for nginx in [&before, &after] {
        for n in 0..10 {
            curl(&["-k", &url(nginx, &format!("{mark}/{}/{n}", nginx.address().port()))]).unwrap();
        }
        let kept: Vec<String> =
            (0..20).map(|n| url(nginx, &format!("{mark}/{}/kept/{n}", nginx.address().port()))).collect();
        let mut arguments = vec!["-k"];
        arguments.extend(kept.iter().map(String::as_str));
        curl(&arguments).unwrap();
    }
    let ports = [before.address().port(), after.address().port()];
    let mut log = before.finish().unwrap();
    log.extend(after.finish().unwrap());
    let calls = watch.end_with_calls(&mark).unwrap();
    assert_eq!(calls.len(), 60);
    agree(&log, &calls);
    let mut expected = ports.map(|port| ("process:curl".to_owned(), format!("process:nginx:{port}")));
    expected.sort_unstable();
    let seen: Vec<_> = pairs(&calls).iter().map(|(src, dst)| (src.to_string(), dst.to_string())).collect();
    assert_eq!(seen, expected);
    assert!(calls.iter().all(|call| call.vantage == "server"));
}

/// Starts a script as a server with a certificate.
fn serve(script: &Script, certificate: &Certificate) -> Server {
    let (chain, key) = (certificate.chain().display().to_string(), certificate.key().display().to_string());
    script.serve(&[&chain, &key]).unwrap()
}

/// Paths below `mark`, so many.
fn paths(mark: &str, who: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{mark}/{who}/{n}")).collect()
}

/// Asks for paths with a script that takes address, port and paths.
fn ask(script: &Script, address: std::net::SocketAddr, paths: &[String]) {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut arguments = vec![host.as_str(), port.as_str()];
    arguments.extend(paths.iter().map(String::as_str));
    script.run(&arguments).unwrap();
}

/// Every server with every client; each server both older and younger than the tool.
#[test]
fn python_and_node_serve_and_ask() {
    let name = "tls::python_and_node_serve_and_ask";
    if !can_run(name, &["python3", "node", "curl", "openssl"]) {
        return;
    }
    let mark = mark("scripts");
    let certificate = Certificate::new().unwrap();
    let scripts = [&PYTHON, &ASYNCIO, &NODE];
    let older: Vec<_> = scripts.iter().map(|script| (*script, serve(script, &certificate))).collect();
    let watch = Watch::calls().unwrap();
    let younger: Vec<_> = scripts.iter().map(|script| (*script, serve(script, &certificate))).collect();
    let mut expected = Vec::new();
    for (script, server) in older.iter().chain(&younger) {
        let address = server.address();
        let who = |client: &str| format!("{}-{}-{client}", script.name, address.port());
        let by_curl = paths(&mark, &who("curl"), 5);
        let urls: Vec<String> = by_curl.iter().map(|path| format!("https://{address}{path}")).collect();
        let mut arguments = vec!["-k"];
        arguments.extend(urls.iter().map(String::as_str));
        curl(&arguments).unwrap();
        let by_python = paths(&mark, &who("python"), 5);
        ask(&PYTHON_CLIENT, address, &by_python);
        let by_node = paths(&mark, &who("node"), 5);
        ask(&NODE_CLIENT, address, &by_node);
        expected.extend(by_curl.into_iter().chain(by_python).chain(by_node));
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, expected);
    for call in &calls {
        assert_eq!((call.status, call.vantage.as_str()), (Some(200), "server"), "{call:?}");
        let (server, client) = call.path.trim_start_matches(&mark).split_once('-').unwrap();
        let server = server.trim_start_matches('/');
        assert!(call.dst.starts_with(&format!("process:{server}")), "{call:?}");
        let client = client.split_once('-').unwrap().1;
        let client = match client.split_once('/').unwrap().0 {
            "curl" => "process:curl",
            "python" => "process:askvault.py",
            _ => "process:askvault.js",
        };
        assert_eq!(call.src, client, "{call:?}");
    }
}

/// GnuTLS on both sides: wget asks, gnutls-serv answers; then each with OpenSSL at its other end.
#[test]
fn gnutls_serves_and_asks() {
    let name = "tls::gnutls_serves_and_asks";
    if !can_run(name, &["gnutls-serv", "wget", "nginx", "curl", "openssl"]) {
        return;
    }
    let mark = mark("gnutls");
    let certificate = Certificate::new().unwrap();
    let nginx =
        Nginx::start(NginxSetup { certificate: Some(&certificate), ..NginxSetup::default() }).unwrap();
    let watch = Watch::calls().unwrap();
    let serv = Server::start(|address, _| {
        let mut command = std::process::Command::new("gnutls-serv");
        command.args(["--http", "--quiet", "--disable-client-cert", "--port", &address.port().to_string()]);
        command.arg("--x509keyfile").arg(certificate.key()).arg("--x509certfile").arg(certificate.chain());
        Ok(command)
    })
    .unwrap();
    let mut expected = Vec::new();
    for (who, address) in [("nginx", nginx.address()), ("serv", serv.address())] {
        for path in paths(&mark, &format!("{who}-wget"), 4) {
            let mut command = std::process::Command::new("wget");
            command.args(["-q", "--no-check-certificate", "--no-proxy", "-O", "/dev/null"]);
            let status = command.arg(format!("https://{address}{path}")).status().unwrap();
            assert!(status.success());
            expected.push(path);
        }
        for path in paths(&mark, &format!("{who}-curl"), 4) {
            curl(&["-k", &format!("https://{address}{path}")]).unwrap();
            expected.push(path);
        }
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, expected);
    assert!(calls.iter().all(|call| call.status == Some(200)), "{calls:?}");
    assert!(calls.iter().all(|call| call.path.contains("curl") == (call.src == "process:curl")), "{calls:?}");
}
