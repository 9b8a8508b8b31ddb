//! How this process reaches others: over sockets, or over the wire of a recording.

use crate::peers::Peer;
use crate::record::{Tap, Wire};
use axum::http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

/// Whoever does not answer the handshake by then is not there.
const HANDSHAKE: Duration = Duration::from_secs(1);

/// What connections are made of.
#[derive(Clone)]
pub(crate) enum Network {
    /// Those of the operating system, from this address if it is one.
    Sockets(Option<IpAddr>),
    /// A recording, and the address that we have in it.
    Wire(Arc<Wire>, IpAddr),
}

impl Network {
    /// The same for somebody with another address, to reach `there`. On one machine all of 127.0.0.0/8 is its own; elsewhere
    /// the operating system gives what it has.
    pub(crate) fn at(&self, address: Ipv4Addr, there: SocketAddr) -> Self {
        let [_, b, c, d] = address.octets();
        let address = IpAddr::V4(address);
        match self {
            Self::Sockets(_) if there.ip().is_loopback() && there.is_ipv4() => {
                Self::Sockets(Some(Ipv4Addr::new(127, b, c, d).into()))
            }
            Self::Sockets(_) => Self::Sockets(None),
            Self::Wire(wire, _) => Self::Wire(Arc::clone(wire), address),
        }
    }
}

/// Where the servers are, and how they are reached.
#[derive(Clone)]
pub(crate) struct Directory {
    /// How.
    pub(crate) network: Network,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Directory {
    /// Servers that are reached through `network`.
    pub(crate) fn new(network: Network, peers: impl IntoIterator<Item = Peer>) -> Self {
        let addresses = peers.into_iter().map(|peer| (peer.role, peer.address)).collect();
        Self { network, addresses }
    }

    /// Where the server of a role listens; the unspecified address when there is none.
    pub(crate) fn address(&self, role: &str) -> SocketAddr {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.addresses.get(role).copied().unwrap_or(nowhere)
    }
}

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Dialer {
    network: Network,
    sockets: HttpConnector,
}

impl Dialer {
    /// A dialer of that network.
    pub(crate) fn new(network: Network) -> Self {
        let mut sockets = HttpConnector::new();
        sockets.set_nodelay(true);
        sockets.set_connect_timeout(Some(HANDSHAKE));
        if let Network::Sockets(from) = network {
            sockets.set_local_address(from);
        }
        Self { network, sockets }
    }
}

/// A connection that was opened, not yet in use.
type Opening = Pin<Box<dyn Future<Output = Result<Link, Box<dyn Error + Send + Sync>>> + Send>>;

impl Service<Uri> for Dialer {
    type Response = Link;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Opening;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sockets.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        match &self.network {
            Network::Sockets(_) => {
                let opening = self.sockets.call(target);
                Box::pin(async move { Ok(Link::Socket(opening.await?)) })
            }
            Network::Wire(wire, from) => {
                let tap =
                    wire.dial(*from, target.host().unwrap_or_default(), target.port_u16().unwrap_or(80));
                Box::pin(async move { Ok(Link::Tap(TokioIo::new(tap?))) })
            }
        }
    }
}

/// One connection.
pub(crate) enum Link {
    /// A socket.
    Socket(TokioIo<TcpStream>),
    /// A recorded one.
    Tap(TokioIo<Tap>),
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(io) => Pin::new(io).poll_read(context, buffer),
            Self::Tap(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl Write for Link {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Socket(io) => Pin::new(io).poll_write(context, bytes),
            Self::Tap(io) => Pin::new(io).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(io) => Pin::new(io).poll_flush(context),
            Self::Tap(io) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(io) => Pin::new(io).poll_shutdown(context),
            Self::Tap(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}
