//! rustls inside Rust programs: read where they have symbols, said to be blind where they were stripped of them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use apisec_tests::certificate::Certificate;
use apisec_tests::client::curl;
use apisec_tests::server::Server;
use apisec_tests::watch::{Watch, mark};

use super::paths;
use crate::live::{can_run, each_once};

/// Serves and asks; see its source.
pub(super) const VAULT: &str = env!("CARGO_BIN_EXE_rustls_vault");

pub(super) fn serve(program: &Path, certificate: &Certificate) -> Server {
    Server::start(|address, _| {
        let mut command = Command::new(program);
        command.arg(address.ip().to_string()).arg(address.port().to_string());
        command.arg(certificate.chain()).arg(certificate.key());
        Ok(command)
    })
    .unwrap()
}

pub(super) fn ask(program: &Path, address: SocketAddr, certificate: &Certificate, paths: &[String]) {
    let mut command = Command::new(program);
    command.arg("ask").arg(address.ip().to_string()).arg(address.port().to_string());
    let output = command.arg(certificate.chain()).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn ask_with_curl(address: SocketAddr, paths: &[String]) {
    let urls: Vec<String> = paths.iter().map(|path| format!("https://{address}{path}")).collect();
    let mut arguments = vec!["-k"];
    arguments.extend(urls.iter().map(String::as_str));
    curl(&arguments).unwrap();
}

#[test]
fn rustls_serves_and_asks() {
    if !can_run("tls::rustls::rustls_serves_and_asks", &["curl", "openssl"]) {
        return;
    }
    let mark = mark("rustls");
    let (certificate, vault) = (Certificate::new().unwrap(), Path::new(VAULT));
    let older = serve(vault, &certificate);
    let watch = Watch::calls().unwrap();
    let younger = serve(vault, &certificate);
    let mut expected = Vec::new();
    for address in [older.address(), younger.address()] {
        // One connection each, several on the same memory, and answers that rustls takes in parts.
        for client in 0..3 {
            let mut mine = paths(&mark, &format!("{}-rust-{client}", address.port()), 5);
            mine.insert(2, format!("{mark}/{}-rust-{client}/large", address.port()));
            ask(vault, address, &certificate, &mine);
            expected.extend(mine);
            let mine = paths(&mark, &format!("{}-curl-{client}", address.port()), 4);
            ask_with_curl(address, &mine);
            expected.extend(mine);
        }
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, expected);
    for call in &calls {
        assert_eq!((call.status, call.vantage.as_str()), (Some(200), "server"), "{call:?}");
        let body = call.path.len() * if call.path.ends_with("/large") { 8192 } else { 1 };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n");
        assert_eq!(call.response_bytes, (head.len() + body) as u64, "{call:?}");
        assert_eq!(call.src == "process:curl", call.path.contains("curl"), "{call:?}");
        assert!(call.dst.starts_with("process:rustls_vault:"), "{call:?}");
    }
}

#[test]
fn a_stripped_program_is_said_to_be_blind() {
    if !can_run("tls::rustls::a_stripped_program_is_said_to_be_blind", &["strip", "openssl"]) {
        return;
    }
    let mark = mark("stripped");
    let (certificate, folder) = (Certificate::new().unwrap(), tempfile::tempdir().unwrap());
    let stripped = folder.path().join("stripped_vault");
    let done = Command::new("strip").arg("-o").arg(&stripped).arg(VAULT).status().unwrap();
    assert!(done.success());
    let server = serve(&stripped, &certificate);
    let watch = Watch::snapshot().unwrap();
    for client in 0..4 {
        ask(&stripped, server.address(), &certificate, &paths(&mark, &format!("blind-{client}"), 3));
    }
    let snapshot = watch.end_with_snapshot().unwrap();
    let port = format!(":{}", server.address().port());
    let rows: Vec<_> = snapshot.capture.coverage.iter().filter(|row| row.workload.ends_with(&port)).collect();
    let [blind] = rows[..] else { panic!("{rows:#?}") };
    assert_eq!(
        (blind.protocol.as_str(), blind.connections.decrypted, blind.connections.opaque),
        ("tls", 0, 4)
    );
    assert!(blind.bytes.opaque > 0 && !blind.reason.is_empty(), "{blind:?}");
}
