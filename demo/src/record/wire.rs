//! The wire of a recording: connections within one process, of which every byte is on the tape.

use super::tape::{ACK, FIN, SYN, Tape, Way};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Bytes that are under way in one direction at most.
const WINDOW: usize = 64 << 10;
/// First port of those who open connections (RFC 6335 §6).
const FIRST_PORT: u16 = 49_152;

/// A connection as its server gets it, with the client's address.
pub(crate) type Accepted = (Tap, SocketAddr);

/// Everybody who listens, and the tape.
pub(crate) struct Wire {
    tape: Mutex<Tape>,
    listeners: Mutex<BTreeMap<SocketAddr, UnboundedSender<Accepted>>>,
    names: BTreeMap<&'static str, IpAddr>,
    ports: AtomicU16,
}

impl Wire {
    /// A wire on which hosts also have names.
    pub(crate) fn new(names: impl IntoIterator<Item = (&'static str, IpAddr)>) -> Self {
        Self {
            tape: Mutex::new(Tape::new()),
            listeners: Mutex::new(BTreeMap::new()),
            names: names.into_iter().collect(),
            ports: AtomicU16::new(FIRST_PORT),
        }
    }

    /// What comes in for `address` from now on.
    pub(crate) fn listen(&self, address: SocketAddr) -> UnboundedReceiver<Accepted> {
        let (sender, receiver) = unbounded_channel();
        lock(&self.listeners).insert(address, sender);
        receiver
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When the host has no address, or nobody listens there.
    pub(crate) fn dial(self: &Arc<Self>, from: IpAddr, host: &str, port: u16) -> io::Result<Tap> {
        let ip = host.parse().ok().or_else(|| self.names.get(host).copied());
        let to = SocketAddr::new(ip.ok_or(io::ErrorKind::NotFound)?, port);
        let next = self.ports.fetch_add(1, Ordering::Relaxed);
        // Behind the last port comes the first one again, and by then it is free.
        let from = SocketAddr::new(from, next | FIRST_PORT);
        self.tape().packet(Way { from, to }, (0, 0), SYN, &[]);
        let listener = lock(&self.listeners).get(&to).cloned().ok_or(io::ErrorKind::ConnectionRefused)?;
        self.tape().packet(Way { from: to, to: from }, (0, 1), SYN | ACK, &[]);
        let (ours, theirs) = duplex(WINDOW);
        let tap =
            |io, from, to| Tap { io, wire: Arc::clone(self), way: Way { from, to }, seq: 1, open: true };
        listener.send((tap(theirs, to, from), from)).map_err(|_gone| io::ErrorKind::ConnectionRefused)?;
        Ok(tap(ours, from, to))
    }

    /// The capture file.
    pub(crate) fn take_tape(&self) -> Vec<u8> {
        self.tape().take()
    }

    fn tape(&self) -> MutexGuard<'_, Tape> {
        lock(&self.tape)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One end of a connection. What is written here is on the tape.
pub(crate) struct Tap {
    io: DuplexStream,
    wire: Arc<Wire>,
    way: Way,
    seq: u32,
    open: bool,
}

impl Tap {
    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.wire.tape().packet(self.way, (self.seq, 1), FIN | ACK, &[]);
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.close();
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(context, bytes))?;
        let (way, seq) = (self.way, self.seq);
        self.wire.tape().data(way, seq, bytes.get(..written).unwrap_or_default());
        self.seq = seq.wrapping_add(written as u32);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
