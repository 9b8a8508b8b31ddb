//! What nobody can read is a number: QUIC on any port, and unix sockets behind a proxy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use apisec_engine::coverage::CoverageView;
use apisec_engine::snapshot::Snapshot;
use apisec_tests::certificate::Certificate;
use apisec_tests::client::curl;
use apisec_tests::eventually;
use apisec_tests::process::Process;
use apisec_tests::script::{PYTHON, Script, pypi};
use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::watch::{Watch, mark};

use super::can_run;

/// A server of QUIC by the library `aioquic`: answers every stream with 200,000 bytes, and prints the size of each datagram that
/// it received, with its headers.
const QUIC: Script = Script::python(
    "quic.py",
    r#"
import asyncio, sys
address, port, packages, chain, key = sys.argv[1:]
sys.path.insert(0, packages)
from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import StreamDataReceived

class Protocol(QuicConnectionProtocol):
    def datagram_received(self, data, peer):
        print("received", len(data) + 28, flush=True)
        super().datagram_received(data, peer)
    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived) and event.end_stream:
            self._quic.send_stream_data(event.stream_id, b"x" * 200_000, True)
            self.transmit()

async def main():
    configuration = QuicConfiguration(is_client=False)
    configuration.load_cert_chain(chain, key)
    await serve(address, int(port), configuration=configuration, create_protocol=Protocol)
    # What listens can be waited for.
    await asyncio.start_server(lambda reader, writer: writer.close(), address, int(port))
    await asyncio.Future()
asyncio.run(main())
"#,
);

/// Asks once, and prints the size of each datagram that it received, with its headers.
const QUIC_CLIENT: Script = Script::python(
    "quic_client.py",
    r#"
import asyncio, ssl, sys
address, port, packages = sys.argv[1:]
sys.path.insert(0, packages)
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.quic.configuration import QuicConfiguration

class Protocol(QuicConnectionProtocol):
    def datagram_received(self, data, peer):
        print("received", len(data) + 28, flush=True)
        super().datagram_received(data, peer)

async def main():
    configuration = QuicConfiguration(is_client=True, verify_mode=ssl.CERT_NONE)
    async with connect(address, int(port), configuration=configuration, create_protocol=Protocol) as client:
        reader, writer = await client.create_stream()
        writer.write(b"hello")
        writer.write_eof()
        assert len(await reader.read()) == 200_000
asyncio.run(main())
"#,
);

/// An application on uvicorn behind a unix socket, which answers with 20,000 bytes; anybody may connect.
const BEHIND: &str = r#"
import os, sys
path, packages = sys.argv[1:]
sys.path.insert(0, packages)
import uvicorn
os.umask(0)

async def app(scope, receive, send):
    if scope["type"] != "http": return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"x" * 20_000})

uvicorn.run(app, uds=path, log_level="error", ws="none")
"#;

fn row<'a>(snapshot: &'a Snapshot, protocol: &str) -> &'a CoverageView {
    let mut rows = snapshot.capture.coverage.iter();
    rows.find(|row| row.protocol == protocol).unwrap_or_else(|| panic!("{:#?}", snapshot.capture.coverage))
}

#[test]
fn quic_is_told_by_its_content() {
    if !can_run("blind::quic_is_told_by_its_content", &[PYTHON, "openssl"]) {
        return;
    }
    let (packages, certificate) = (pypi(), Certificate::new().unwrap());
    let (chain, key) = (certificate.chain().display().to_string(), certificate.key().display().to_string());
    let server = QUIC.serve(&[&packages, &chain, &key]).unwrap();
    let watch = Watch::snapshot().unwrap();
    let address = server.address();
    let client =
        QUIC_CLIENT.run(&[&address.ip().to_string(), &address.port().to_string(), &packages]).unwrap();
    // Not QUIC, though it goes where QUIC usually does.
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    (0..400).for_each(|_| drop(stranger.send_to(&[0x42; 1400], "127.0.0.1:443")));
    let snapshot = watch.end_with_snapshot().unwrap();
    let sizes = |text: &str| -> u64 {
        text.lines().filter_map(|line| line.strip_prefix("received ")?.parse::<u64>().ok()).sum()
    };
    let received = sizes(&client) + sizes(&fs::read_to_string(server.folder().join("printed")).unwrap());
    let row = row(&snapshot, "quic");
    // What a full socket dropped was seen and not received.
    assert!(
        row.bytes.opaque >= received && row.bytes.opaque < received + received / 2,
        "{received}: {row:?}"
    );
    assert!(received > 200_000 && !row.reason.is_empty());
}

#[test]
fn what_goes_over_unix_sockets_has_its_bytes() {
    if !can_run("blind::what_goes_over_unix_sockets_has_its_bytes", &[PYTHON, "nginx", "curl"]) {
        return;
    }
    let (mark, folder) = (mark("unix"), tempfile::tempdir().unwrap());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (program, socket) = (folder.path().join("behind.py"), folder.path().join("socket"));
    fs::write(&program, BEHIND).unwrap();
    let mut command = Command::new(PYTHON);
    command.arg(&program).arg(&socket).arg(pypi());
    let _behind = Process::start(command).unwrap();
    let patience = std::time::Duration::from_secs(180);
    eventually("the application listens", patience, || socket.exists().then_some(())).unwrap();
    let server = format!("location / {{ proxy_pass http://unix:{}:; }}", socket.display());
    let nginx = Nginx::start(NginxSetup { server: &server, ..NginxSetup::default() }).unwrap();
    let watch = Watch::snapshot().unwrap();
    for n in 0..20 {
        assert_eq!(curl(&[&format!("{}{mark}/{n}", nginx.url())]).unwrap().len(), 20_000);
    }
    nginx.log_of(20).unwrap();
    let snapshot = watch.end_with_snapshot().unwrap();
    let port = format!(":{}", nginx.address().port());
    let here = snapshot.endpoints.iter().filter(|endpoint| endpoint.service.ends_with(&port));
    assert_eq!(here.map(|endpoint| endpoint.calls).sum::<u64>(), 20);
    let row = row(&snapshot, "unix");
    assert!(row.bytes.opaque > 20 * 20_000 && row.reason.contains("not read"), "{row:?}");
}
