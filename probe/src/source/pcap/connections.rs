//! Which connection a TCP segment belongs to, and which of its ends opened it.
//!
//! Only the two ends make a connection: interfaces and VLANs do not, because one packet is often
//! captured on several. Duplicates are left to the decoder, which knows sequence numbers.

use super::ip::Address;
use super::tcp::Tcp;
use crate::flow::Flow;
use apisec_proto::call::Vantage;
use apisec_proto::segment::{ConnId, Side};
use lru::LruCache;
use std::net::SocketAddr;

/// Connections that are remembered: four times what a busy node has open; about 50 MiB.
const MAX_CONNECTIONS: usize = 262_144;
/// After this a closed pair of ends may be used again without a handshake that was captured, nanoseconds.
const REUSE_AFTER: u64 = 60_000_000_000;
/// Segments that overtook their handshake are at most this far ahead, in bytes and in nanoseconds.
const OVERTAKEN: (u32, u64) = (1 << 20, 1_000_000_000);

type End = (Address, u16);

/// Who a segment comes from and goes to.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) source: Address,
    pub(super) destination: Address,
}

/// A segment's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) conn: ConnId,
    pub(super) flow: Flow,
    pub(super) from: Side,
    pub(super) syn_seen: bool,
}

/// What is known of one direction.
#[derive(Clone, Copy, Default)]
struct Stream {
    /// Sequence number of the first byte, when the handshake told it.
    begin: Option<u32>,
    /// Sequence number of the first segment that was seen.
    first: Option<u32>,
    fin: bool,
}

struct Connection {
    id: ConnId,
    flow: Flow,
    /// Whether the client is the lower of the two ends.
    client_is_low: bool,
    client: Stream,
    server: Stream,
    reset: bool,
    begun: u64,
    last: u64,
}

/// The connections of a capture.
pub(super) struct Connections {
    table: LruCache<(End, End), Connection, foldhash::fast::RandomState>,
    next: u64,
    evicted: u64,
    guessed: u64,
}

impl Connections {
    pub(super) fn new() -> Self {
        let table = LruCache::unbounded_with_hasher(foldhash::fast::RandomState::default());
        Self { table, next: 1, evicted: 0, guessed: 0 }
    }

    /// Connections seen.
    pub(super) const fn seen(&self) -> u64 {
        self.next - 1
    }

    /// Connections forgotten because there were too many.
    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Connections whose handshake was not captured.
    pub(super) const fn guessed(&self) -> u64 {
        self.guessed
    }

    /// Finds or makes the connection of `tcp`.
    #[inline]
    pub(super) fn place(&mut self, way: Way, tcp: &Tcp<'_>, at: u64) -> Place {
        let (source, destination) = ((way.source, tcp.source), (way.destination, tcp.destination));
        let from_low = source <= destination;
        let key = if from_low { (source, destination) } else { (destination, source) };
        if let Some(known) = self.table.get_mut(&key)
            && known.claims(from_low, tcp, at)
        {
            return known.take(from_low, tcp, at);
        }
        let mut connection = self.begin(source, destination, from_low, tcp, at);
        let place = connection.take(from_low, tcp, at);
        self.table.put(key, connection);
        if self.table.len() > MAX_CONNECTIONS {
            self.table.pop_lru();
            self.evicted += 1;
        }
        place
    }

    #[cold]
    fn begin(&mut self, source: End, destination: End, from_low: bool, tcp: &Tcp<'_>, at: u64) -> Connection {
        let sender_is_client = if tcp.flags.syn() {
            !tcp.flags.ack()
        } else {
            self.guessed += 1;
            looks_like_client(tcp.source, tcp.destination)
        };
        let (client, server) = if sender_is_client { (source, destination) } else { (destination, source) };
        let socket = |end: End| SocketAddr::new(end.0.ip(), end.1);
        let id = ConnId(self.next);
        self.next += 1;
        Connection {
            id,
            flow: Flow { client: socket(client), server: socket(server), vantage: Vantage::Server },
            client_is_low: sender_is_client == from_low,
            client: Stream::default(),
            server: Stream::default(),
            reset: false,
            begun: at,
            last: at,
        }
    }
}

impl Connection {
    /// Whether a segment between these ends is this connection's and not a later one's.
    #[inline]
    fn claims(&self, from_low: bool, tcp: &Tcp<'_>, at: u64) -> bool {
        if tcp.flags.syn() {
            return self.claims_handshake(from_low, tcp, at);
        }
        let closed = self.reset || (self.client.fin && self.server.fin);
        !closed || tcp.length == 0 || at <= self.last.saturating_add(REUSE_AFTER)
    }

    fn claims_handshake(&self, from_low: bool, tcp: &Tcp<'_>, at: u64) -> bool {
        let answer = tcp.flags.ack();
        let from_client = from_low == self.client_is_low;
        if from_client == answer {
            return false;
        }
        let (sender, receiver) = self.streams(from_low);
        match (sender.begin, receiver.begin) {
            (Some(begin), _) => begin == tcp.seq,
            (None, Some(begin)) if answer => begin == tcp.ack,
            _ => sender.was_overtaken_by(tcp.seq, at.abs_diff(self.begun)),
        }
    }

    const fn streams(&self, from_low: bool) -> (&Stream, &Stream) {
        if from_low == self.client_is_low {
            (&self.client, &self.server)
        } else {
            (&self.server, &self.client)
        }
    }

    #[inline]
    fn take(&mut self, from_low: bool, tcp: &Tcp<'_>, at: u64) -> Place {
        let from = if from_low == self.client_is_low { Side::Client } else { Side::Server };
        let (sender, receiver) = match from {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        };
        if tcp.flags.syn() {
            sender.begin = Some(tcp.seq);
            if tcp.flags.ack() {
                receiver.begin.get_or_insert(tcp.ack);
            }
        }
        sender.first.get_or_insert(tcp.seq);
        sender.fin |= tcp.flags.fin();
        self.reset |= tcp.flags.rst();
        self.last = at;
        Place { conn: self.id, flow: self.flow, from, syn_seen: sender.begin.is_some() }
    }
}

impl Stream {
    /// Whether the first segment that was seen is the one that follows a handshake of `begin`.
    fn was_overtaken_by(&self, begin: u32, after: u64) -> bool {
        let near = self.first.is_none_or(|first| first.wrapping_sub(begin) < OVERTAKEN.0);
        near && after < OVERTAKEN.1
    }
}

/// Without a handshake: the well-known port is the server's, else the lower one.
const fn looks_like_client(source: u16, destination: u16) -> bool {
    source >= destination
}
