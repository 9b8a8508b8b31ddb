//! gRPC by tonic, the library of Rust: in clear, and inside rustls where both ends are tasks of several threads.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use apisec_tests::certificate::Certificate;
use apisec_tests::server::Server;
use apisec_tests::watch::{Watch, mark};

use crate::live::{can_run, tally, told};

/// Serves and asks; see its source.
const SHOP: &str = env!("CARGO_BIN_EXE_tonic_shop");
/// Calls that its client makes.
const CALLS: usize = 15;

fn serve(secrets: &[&Path]) -> Server {
    let command = |address: SocketAddr, _: &Path| {
        let mut command = Command::new(SHOP);
        command.arg(address.ip().to_string()).arg(address.port().to_string()).args(secrets);
        Ok(command)
    };
    Server::start(command).unwrap()
}

#[test]
fn in_clear_and_inside_rustls() {
    if !can_run("grpc::tonic::in_clear_and_inside_rustls", &["openssl"]) {
        return;
    }
    let (service, certificate) = (mark("tonic"), Certificate::new().unwrap());
    let (clear, secure) = (serve(&[]), serve(&[&certificate.chain(), &certificate.key()]));
    let watch = Watch::calls().unwrap();
    let chain = certificate.chain().display().to_string();
    let (clear_url, secure_url) = (clear.url(), format!("https://{}", secure.address()));
    for secrets in [vec!["ask", &clear_url, &service], vec!["ask", &secure_url, &service, &chain]] {
        let output = Command::new(SHOP).args(secrets).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let calls = watch.end_with_calls(&service).unwrap();
    for (server, library) in [(&clear, None), (&secure, Some("rustls"))] {
        let port = format!(":{}", server.address().port());
        let calls: Vec<_> = calls.iter().filter(|call| call.dst.ends_with(&port)).collect();
        let logged = server.printed("answered ", CALLS).unwrap();
        assert_eq!(tally(calls.iter().map(|call| told(call))), tally(logged), "{library:?}: {calls:?}");
        for call in calls {
            assert_eq!(call.tls.as_ref().map(|tls| tls.library.as_str()), library, "{call:?}");
            let ends = (call.vantage.as_str(), call.src.as_str());
            assert_eq!(ends, ("server", "process:tonic_shop"), "{call:?}");
        }
    }
}
