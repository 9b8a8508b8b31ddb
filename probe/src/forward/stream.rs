//! A connection to a destination: TCP, with TLS on top where it is asked for.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a destination may take to answer anything.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where distributions keep the certificates of authorities.
const USUAL: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Whose certificates are believed: those of a file, of `SSL_CERT_FILE`, or of the system.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust(Option<PathBuf>);

impl Trust {
    pub(super) const fn new(file: Option<PathBuf>) -> Self {
        Self(file)
    }

    fn config(&self) -> io::Result<Arc<ClientConfig>> {
        // As OpenSSL does: an authority of one's own is named there.
        let named = || std::env::var_os("SSL_CERT_FILE").map(PathBuf::from).filter(|path| path.is_absolute());
        let usual = || named().or_else(|| USUAL.iter().map(PathBuf::from).find(|path| path.exists()));
        let path = self.0.clone().or_else(usual).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "there are no certificates of authorities on this machine",
            )
        })?;
        let unreadable =
            |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| unreadable(&error))? {
            // One that is not understood among hundreds is not the one that is needed.
            let _odd = certificate.map(|certificate| roots.add(certificate));
        }
        if roots.is_empty() {
            return Err(unreadable(&"no certificate in it"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

/// An open connection.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Connects to `host:port`.
    pub(super) fn open(authority: &str, tls: Option<&Trust>) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let mut connected = None;
        for address in authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    connected = Some(stream);
                    break;
                }
                Err(error) => last = error,
            }
        }
        let stream = connected.ok_or(last)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let Some(trust) = tls else { return Ok(Self::Plain(stream)) };
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let name =
            ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(trust.config()?, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        // The handshake now, so that a wrong certificate is said before anything is believed to be sent.
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// Whether the other side has closed it meanwhile; a stream that is only written to does not notice.
    pub(super) fn is_closed(&self) -> bool {
        let socket = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        };
        let mut byte = [0];
        if socket.set_nonblocking(true).is_err() {
            return true;
        }
        let peeked = socket.peek(&mut byte);
        let restored = socket.set_nonblocking(false);
        restored.is_err()
            || !matches!(peeked, Ok(1..))
                && !matches!(&peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Drop for Stream {
    /// Says farewell, so that the receiver knows that nothing was cut off.
    fn drop(&mut self) {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _gone = stream.conn.complete_io(&mut stream.sock);
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
