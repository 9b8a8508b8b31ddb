//! What a call tells of its TLS session, HTTP/2 inside TLS, and libraries in other mount namespaces.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::certificate::{Certificate, NAME};
use apisec_tests::client::curl;
use apisec_tests::server::{Nginx, NginxSetup, Server};
use apisec_tests::watch::{Watch, mark};

use super::{paths, url};
use crate::live::{can_run, each_once};

/// Asks by the certificate's name.
fn by_name(nginx: &Nginx, path: &str, more: &[&str]) {
    let port = nginx.address().port();
    let (resolve, url) = (format!("{NAME}:{port}:127.0.0.1"), format!("https://{NAME}:{port}{path}"));
    let mut arguments = vec!["-k", "--resolve", &resolve, &url];
    arguments.extend(more);
    curl(&arguments).unwrap();
}

fn the<'a>(calls: &'a [NdjsonCall], end: &str) -> &'a NdjsonCall {
    calls.iter().find(|call| call.path.ends_with(end)).unwrap()
}

#[test]
fn a_call_names_version_server_protocol_and_subject() {
    let name = "tls::session::a_call_names_version_server_protocol_and_subject";
    if !can_run(name, &["nginx", "curl", "openssl"]) {
        return;
    }
    let mark = mark("facts");
    let certificate = Certificate::new().unwrap();
    let setup = NginxSetup { certificate: Some(&certificate), http2: true, ..NginxSetup::default() };
    let nginx = Nginx::start(setup).unwrap();
    let watch = Watch::calls().unwrap();
    by_name(&nginx, &format!("{mark}/old"), &["--tls-max", "1.2", "--http1.1"]);
    by_name(&nginx, &format!("{mark}/new"), &["--tlsv1.3"]);
    by_name(&nginx, &format!("{mark}/newer"), &["--tlsv1.3", "--http1.1"]);
    by_name(&nginx, &format!("{mark}/silent"), &["--tlsv1.3", "--no-alpn"]);
    let calls = watch.end_with_calls(&mark).unwrap();
    let [old, new, newer, silent] = ["/old", "/new", "/newer", "/silent"].map(|end| the(&calls, end));
    let spoken = [old, new, newer, silent].map(|call| call.protocol.as_str());
    assert_eq!(spoken, ["http1", "http2", "http1", "http1"]);
    let [old, new, newer, silent] = [old, new, newer, silent].map(|call| call.tls.as_ref().unwrap());
    assert_eq!((old.version.as_str(), old.alpn.as_str(), old.sni.as_str()), ("1.2", "http/1.1", NAME));
    assert_eq!((old.subject.as_str(), old.library.as_str()), ("O=Test, CN=shop.example", "OpenSSL 3"));
    assert_eq!((new.version.as_str(), new.alpn.as_str(), new.sni.as_str()), ("1.3", "h2", NAME));
    // TLS 1.3 encrypts what these libraries tell.
    assert_eq!((newer.version.as_str(), newer.alpn.as_str(), silent.alpn.as_str()), ("1.3", "http/1.1", ""));
    for tls in [new, newer, silent] {
        assert_eq!(tls.subject, "O=Test, CN=shop.example");
    }
}

#[test]
fn http2_inside_tls_is_one_call_per_stream() {
    let name = "tls::session::http2_inside_tls_is_one_call_per_stream";
    if !can_run(name, &["nginx", "curl", "openssl"]) {
        return;
    }
    let mark = mark("h2");
    let certificate = Certificate::new().unwrap();
    let setup = NginxSetup { certificate: Some(&certificate), http2: true, ..NginxSetup::default() };
    let nginx = Nginx::start(setup).unwrap();
    let watch = Watch::calls().unwrap();
    let asked = paths(&mark, "curl", 40);
    let urls: Vec<String> = asked.iter().map(|path| url(&nginx, path)).collect();
    let mut arguments = vec!["-k", "--http2", "--parallel"];
    arguments.extend(urls.iter().map(String::as_str));
    curl(&arguments).unwrap();
    let log = nginx.finish().unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    assert_eq!(log.len(), 40);
    each_once(&calls, log.iter().map(|line| line.uri.clone()));
    assert!(calls.iter().all(|call| call.protocol == "http2" && call.status == Some(200)), "{calls:?}");
}

/// nginx with a copy of libssl that only its mount namespace has, bound over the system's: another file at the same path.
#[test]
fn a_library_in_another_mount_namespace_is_probed() {
    let name = "tls::session::a_library_in_another_mount_namespace_is_probed";
    if !can_run(name, &["nginx", "curl", "openssl", "unshare", "ldd"]) {
        return;
    }
    let mark = mark("mounts");
    let certificate = Certificate::new().unwrap();
    let nginx = apisec_tests::skip::find_program("nginx").unwrap();
    let linked = Command::new("ldd").arg(&nginx).output().unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    let library = linked.lines().find_map(|line| line.trim().strip_prefix("libssl.so.3 => ")).unwrap();
    let library = std::fs::canonicalize(library.split(' ').next().unwrap()).unwrap();
    let server = Server::start(|address, folder| {
        let (copy, configuration) = (folder.join("copy"), folder.join("nginx.conf"));
        std::fs::copy(&library, &copy)?;
        std::fs::write(&configuration, configure(address, folder, &certificate))?;
        let script = "mount --bind $0 $1 && exec $2 -p $3 -e $3/error.log -c $4";
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", script])
            .args([&copy, &library, &nginx])
            .arg(folder)
            .arg(configuration);
        Ok(command)
    })
    .unwrap();
    let mapped = std::fs::read_to_string(format!("/proc/{}/maps", server.id())).unwrap();
    let own = std::fs::metadata(format!("/proc/{}/root{}", server.id(), library.display())).unwrap().ino();
    assert_ne!(own, std::fs::metadata(&library).unwrap().ino(), "it is another file");
    assert!(mapped.contains(&format!(" {own} ")), "and it is in use");
    let watch = Watch::calls().unwrap();
    // Many, because a search that takes its time on a busy machine has to come by.
    let asked = paths(&mark, "curl", 300);
    for path in &asked {
        curl(&["-k", &format!("https://{}{path}", server.address())]).unwrap();
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, asked);
    assert!(calls.iter().all(|call| call.dst.starts_with("process:nginx")), "{calls:?}");
    // The client's end is read too, and stands in until the copy is probed; from then on the server's owns the call.
    let by_server = |call: &NdjsonCall| call.tls.as_ref().is_some_and(|tls| tls.library == "OpenSSL 3");
    let since = calls.iter().position(by_server).expect("the copy is probed");
    assert!(calls[since..].iter().all(by_server), "{:?}", &calls[since..]);
}

/// The least that nginx needs.
fn configure(address: std::net::SocketAddr, folder: &Path, certificate: &Certificate) -> String {
    let (folder, chain, key) = (folder.display(), certificate.chain(), certificate.key());
    format!(
        "daemon off; master_process off; pid {folder}/pid; events {{}}
        http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
          fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
          server {{ listen {address} ssl; ssl_certificate {}; ssl_certificate_key {};
            location / {{ return 200 'ok'; }} }} }}",
        chain.display(),
        key.display()
    )
}
