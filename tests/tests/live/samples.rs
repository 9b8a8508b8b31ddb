//! Large bodies that are read whole because somebody asked for it: in clear, over HTTP/2 and inside TLS.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use apisec_tests::certificate::Certificate;
use apisec_tests::client::curl;
use apisec_tests::server::{Nginx, NginxSetup, free_port};
use apisec_tests::watch::{Watch, mark};
use rustix::process::Signal;

use super::can_run;

/// A document of some 30 KiB whose last key is `last`.
fn document(last: &str) -> String {
    let mut text = "{\"rows\":[".to_owned();
    for row in 0..600 {
        write!(text, "{{\"number\":{row},\"text\":\"{:032}\"}},", row * 7).unwrap();
    }
    format!("{}],\"{last}\":true}}", text.trim_end_matches(','))
}

/// nginx in clear, over HTTP/2 and inside TLS, with a document for each; returns the first two ports too.
fn serve(folder: &Path, certificate: &Certificate, mark: &str) -> (Nginx, u16, u16) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for last in ["plainEnd", "framedEnd", "secretEnd"] {
        fs::write(folder.join(format!("{last}.json")), document(last)).unwrap();
    }
    let port = || free_port(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let (plain, framed) = (port(), port());
    let location =
        format!("location {mark}/ {{ alias {}/; types {{ application/json json; }} }}", folder.display());
    let http = format!(
        "server {{ listen 127.0.0.1:{plain}; {location} }} server {{ listen 127.0.0.1:{framed} http2; {location} }}"
    );
    let setup = NginxSetup {
        http: &http,
        server: &location,
        certificate: Some(certificate),
        ..NginxSetup::default()
    };
    (Nginx::start(setup).unwrap(), plain, framed)
}

/// What a run with `more` arguments knows of the three documents in the end: its OpenAPI, and how it says it knows.
fn learn(more: &[&str], mark: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::new().unwrap();
    let (nginx, plain, framed) = serve(folder.path(), &certificate, mark);
    let watch = Watch::start(&[&["--output", "openapi"], more].concat()).unwrap();
    for _ in 0..6 {
        let tls = format!("https://{}{mark}/secretEnd.json", nginx.address());
        curl(&["-k", "--http1.1", &tls]).unwrap();
        curl(&["--http2-prior-knowledge", &format!("http://127.0.0.1:{framed}{mark}/framedEnd.json")])
            .unwrap();
        curl(&[&format!("http://127.0.0.1:{plain}{mark}/plainEnd.json")]).unwrap();
    }
    let run = watch.end(Signal::INT).unwrap();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    run.stdout
}

#[test]
fn large_bodies_are_read_to_their_end_when_that_is_asked_for() {
    if !can_run(
        "samples::large_bodies_are_read_to_their_end_when_that_is_asked_for",
        &["nginx", "curl", "openssl"],
    ) {
        return;
    }
    let mark = mark("samples");
    let without = learn(&[], &mark);
    let with = learn(&["--sample-bodies", "3"], &mark);
    for end in ["plainEnd", "framedEnd", "secretEnd"] {
        assert!(!without.contains(&format!("\"{end}\"")), "{end} without: {without}");
        assert!(with.contains(&format!("\"{end}\"")), "{end} with: {with}");
    }
}
