//! OpenSSL 1.1 inside a wheel of PyPI, where a library has its own name: `psycopg2-binary`.

use std::path::Path;
use std::process::Command;

use apisec_tests::certificate::Certificate;
use apisec_tests::script::{PYTHON, Script, pypi};
use apisec_tests::watch::{Watch, mark};

use super::paths;
use super::rustls::{VAULT, serve};
use crate::live::{can_run, each_once};

/// Speaks HTTP through the very library, by its public functions: asks for every path that it is told over one connection.
const OLD: Script = Script::python(
    "oldssl.py",
    r#"
import ctypes, glob, socket, sys
port, packages = sys.argv[1:]
ctypes.CDLL(glob.glob(packages + "/psycopg2_binary.libs/libcrypto-*")[0], ctypes.RTLD_GLOBAL)
ssl = ctypes.CDLL(glob.glob(packages + "/psycopg2_binary.libs/libssl-*")[0])
for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"): getattr(ssl, name).restype = ctypes.c_void_p
session = ctypes.c_void_p(ssl.SSL_new(ctypes.c_void_p(ssl.SSL_CTX_new(ctypes.c_void_p(ssl.TLS_client_method())))))
connection = None
print("ready", flush=True)
for path in sys.stdin:
    if connection is None:
        connection = socket.create_connection(("127.0.0.1", int(port)))
        ssl.SSL_set_fd(session, connection.fileno())
        assert ssl.SSL_connect(session) == 1
    request = f"GET {path.strip()} HTTP/1.1\r\nHost: vault\r\n\r\n".encode()
    assert ssl.SSL_write(session, request, len(request)) == len(request)
    part, answer = ctypes.create_string_buffer(65536), b""
    while not answer.endswith(path.strip().encode()):
        count = ssl.SSL_read(session, part, 65536)
        assert count > 0
        answer += part.raw[:count]
    print(answer.split(b" ")[1].decode(), flush=True)
"#,
);

/// A server that cannot be read, so that the client's end is.
#[test]
fn http_through_it_is_read_at_the_client() {
    let name = "tls::wheel::http_through_it_is_read_at_the_client";
    if !can_run(name, &[PYTHON, "strip", "openssl"]) {
        return;
    }
    let mark = mark("wheel");
    let (certificate, folder) = (Certificate::new().unwrap(), tempfile::tempdir().unwrap());
    let stripped = folder.path().join("wheel_vault");
    assert!(Command::new("strip").arg("-o").arg(&stripped).arg(VAULT).status().unwrap().success());
    let blind = serve(Path::new(&stripped), &certificate);
    let mut old = OLD.speak(&[&blind.address().port().to_string(), &pypi()]).unwrap();
    assert_eq!(old.listen().unwrap(), "ready");
    let watch = Watch::calls().unwrap();
    let asked = paths(&mark, "old", 12);
    for path in &asked {
        assert_eq!(old.say(path).unwrap(), "200");
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, asked);
    for call in &calls {
        let tls = call.tls.as_ref().unwrap();
        let seen = (tls.library.as_str(), tls.version.as_str(), tls.subject.as_str());
        assert_eq!(seen, ("OpenSSL 1.1", "1.3", "O=Test, CN=shop.example"), "{call:?}");
        assert_eq!((call.status, call.src.as_str()), (Some(200), "process:oldssl.py"), "{call:?}");
    }
}
