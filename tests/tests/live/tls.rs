//! Calls inside TLS, with servers and clients that we did not write, counted against the server's own log.

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::certificate::Certificate;
use apisec_tests::client::curl;
use apisec_tests::server::{Logged, Nginx, NginxSetup};
use apisec_tests::watch::{Watch, mark};

use super::{can_run, each_once, pairs};

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
        assert_eq!(call.notes, Vec::<String>::new(), "{}", line.uri);
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
