//! Compressed bodies of nginx and of starlette: read to their keys, in clear, over HTTP/2 and inside TLS.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;

use apisec_tests::certificate::Certificate;
use apisec_tests::client::curl;
use apisec_tests::script::{PYTHON, Script, pypi};
use apisec_tests::server::{Nginx, NginxSetup, free_port};
use apisec_tests::watch::{Watch, mark};
use rustix::process::Signal;

use crate::live::can_run;

/// A document of several kilobytes that compresses to a few hundred bytes, with `last` behind all else.
fn document(last: &str) -> String {
    let rows = vec![r#"{"name":"Ada Lovelace","email":"ada@example.com","card":"4111 1111 1111 1111"}"#; 60];
    format!(r#"{{"rows":[{}],"{last}":true}}"#, rows.join(","))
}

#[test]
fn gzip_by_nginx() {
    if !can_run("peers::bodies::gzip_by_nginx", &["nginx", "curl", "openssl"]) {
        return;
    }
    let (mark, certificate, folder) =
        (mark("gzip"), Certificate::new().unwrap(), tempfile::tempdir().unwrap());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for last in ["zippedPlain", "zippedFrames", "zippedSecret"] {
        fs::write(folder.path().join(last), document(last)).unwrap();
    }
    let framed = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let plain = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let location = format!(
        "location {mark}/ {{ alias {}/; default_type application/json; gzip on; gzip_types application/json; }}",
        folder.path().display()
    );
    let http = format!(
        "server {{ listen 127.0.0.1:{plain}; {location} }} server {{ listen 127.0.0.1:{framed} http2; {location} }}"
    );
    let setup = NginxSetup {
        http: &http,
        server: &location,
        certificate: Some(&certificate),
        ..NginxSetup::default()
    };
    let nginx = Nginx::start(setup).unwrap();
    let watch = Watch::start(&["--output", "openapi"]).unwrap();
    let asked = [
        (format!("http://127.0.0.1:{plain}{mark}/zippedPlain"), "--http1.1"),
        (format!("http://127.0.0.1:{framed}{mark}/zippedFrames"), "--http2-prior-knowledge"),
        (format!("https://{}{mark}/zippedSecret", nginx.address()), "--http1.1"),
    ];
    for (url, version) in &asked {
        let encoded = curl(&["-k", version, "-H", "accept-encoding: gzip", url]).unwrap();
        assert!(encoded.starts_with(&[0x1f, 0x8b]) && encoded.len() < 2000, "nginx has compressed it");
    }
    let run = watch.end(Signal::INT).unwrap();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    for key in ["zippedPlain", "zippedFrames", "zippedSecret"] {
        assert!(run.stdout.contains(&format!("\"{key}\"")), "{key}: {}", run.stdout);
    }
    assert!(!run.stdout.contains("ada@example.com") && !run.stdout.contains("4111 1111"), "no value is kept");
}

/// starlette behind uvicorn, compressing by two middlewares of others; the key that a document ends with is the end of its path.
const COMPRESSING: Script = Script::python(
    "compressing.py",
    r#"
import sys
address, port, packages = sys.argv[1:]
sys.path.insert(0, packages)
import uvicorn
from brotli_asgi import BrotliMiddleware
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from zstd_asgi import ZstdMiddleware
async def document(request):
    row = {"name": "Ada Lovelace", "email": "ada@example.com", "card": "4111 1111 1111 1111"}
    return JSONResponse({"rows": [row] * 60, request.path_params["last"]: True})
app = Starlette(routes=[Route("/{mark}/{last}", document)])
kind = {"br": BrotliMiddleware, "zstd": ZstdMiddleware}
async def choose(scope, receive, send):
    wanted = dict(scope.get("headers", [])).get(b"accept-encoding", b"").decode()
    await (kind[wanted](app) if wanted in kind else app)(scope, receive, send)
uvicorn.run(choose, host=address, port=int(port), log_level="error", ws="none", lifespan="off")
"#,
);

#[test]
fn brotli_and_zstd_by_starlette() {
    if !can_run("peers::bodies::brotli_and_zstd_by_starlette", &[PYTHON, "curl"]) {
        return;
    }
    let mark = mark("packed");
    let server = COMPRESSING.serve(&[&pypi()]).unwrap();
    let watch = Watch::start(&["--output", "openapi"]).unwrap();
    for (coding, last) in [("br", "squeezedByBrotli"), ("zstd", "squeezedByZstandard")] {
        let url = format!("{}{mark}/{last}", server.url());
        let encoded = curl(&["-H", &format!("accept-encoding: {coding}"), &url]).unwrap();
        assert!(encoded.len() < 1000, "{coding} has compressed it: {}", encoded.len());
    }
    let run = watch.end(Signal::INT).unwrap();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    for key in ["squeezedByBrotli", "squeezedByZstandard"] {
        assert!(run.stdout.contains(&format!("\"{key}\"")), "{key}: {}", run.stdout);
    }
    assert!(!run.stdout.contains("ada@example.com") && !run.stdout.contains("4111 1111"), "no value is kept");
}
