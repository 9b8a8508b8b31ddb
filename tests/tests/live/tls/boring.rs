//! BoringSSL, inside a library that keeps its symbols: `curl_cffi` of PyPI, which speaks TLS as Chrome does.

use std::process::Command;

use apisec_tests::certificate::Certificate;
use apisec_tests::script::{PYTHON, Script, pypi};
use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::watch::{Watch, mark};

use super::rustls::{VAULT, serve};
use super::{paths, url};
use crate::live::{can_run, each_once};

/// Asks for every URL that it is told, over one connection for each server.
const CHROME: Script = Script::python(
    "chrome.py",
    r#"
import sys
sys.path.insert(0, sys.argv[1])
from curl_cffi import requests
with requests.Session(verify=False, impersonate="chrome", trust_env=False) as session:
    print("ready", flush=True)
    for url in sys.stdin:
        answer = session.get(url.strip())
        print(answer.status_code, len(answer.content), flush=True)
"#,
);

/// A server that cannot be read, so that the client's end has to be; and one that can, which then owns the calls.
#[test]
fn a_client_that_speaks_like_chrome() {
    let name = "tls::boring::a_client_that_speaks_like_chrome";
    if !can_run(name, &["nginx", "strip", "openssl", PYTHON]) {
        return;
    }
    let mark = mark("boring");
    let (certificate, folder) = (Certificate::new().unwrap(), tempfile::tempdir().unwrap());
    let stripped = folder.path().join("blind_vault");
    assert!(Command::new("strip").arg("-o").arg(&stripped).arg(VAULT).status().unwrap().success());
    let blind = serve(&stripped, &certificate);
    let setup = NginxSetup { certificate: Some(&certificate), http2: true, ..NginxSetup::default() };
    let nginx = Nginx::start(setup).unwrap();
    let chrome = || {
        let mut chrome = CHROME.speak(&[&pypi()]).unwrap();
        assert_eq!(chrome.listen().unwrap(), "ready");
        chrome
    };
    // The library is in no usual folder: it is found with whoever has it loaded.
    let mut older = chrome();
    let watch = Watch::calls().unwrap();
    let mut younger = chrome();
    let mut expected = Vec::new();
    for (who, chrome) in [("older", &mut older), ("younger", &mut younger)] {
        let mut by_client = paths(&mark, &format!("blind-{who}"), 6);
        by_client.insert(3, format!("{mark}/blind-{who}/large"));
        for path in &by_client {
            let length = path.len() * if path.ends_with("/large") { 8192 } else { 1 };
            let told = chrome.say(&format!("https://{}{path}", blind.address())).unwrap();
            assert_eq!(told, format!("200 {length}"));
        }
        let by_server = paths(&mark, &format!("nginx-{who}"), 6);
        for path in &by_server {
            assert!(chrome.say(&url(&nginx, path)).unwrap().starts_with("200 "));
        }
        expected.extend(by_client.into_iter().chain(by_server));
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, expected);
    for call in &calls {
        let tls = call.tls.as_ref().unwrap();
        let seen = (call.protocol.as_str(), tls.library.as_str(), tls.version.as_str());
        // Python has loaded its own OpenSSL too: which of the two it used is not known.
        let client = ("http1", "BoringSSL or OpenSSL 3", "1.3");
        let expected = if call.path.contains("/blind-") { client } else { ("http2", "OpenSSL 3", "1.3") };
        assert_eq!(seen, expected, "{call:?}");
        assert_eq!((call.status, call.src.as_str()), (Some(200), "process:chrome.py"), "{call:?}");
    }
}
