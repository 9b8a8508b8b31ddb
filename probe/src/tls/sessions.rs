//! Joins the plaintext of TLS sessions to the connections they go over.
//!
//! A session is known by its process and the address of the library's object; its connection by the socket that the
//! process uses for it ([`TlsTie`]). Until that is known its plaintext is held, within bounds. The plaintext of both
//! directions becomes [`Segment`]s of the connection with positions counted from the session's beginning, so that
//! nothing behind the source knows that there was TLS.
//!
//! Where both ends are on this node the server's end owns the connection. The client speaks first, so its plaintext is held
//! until the server's end is heard; when the client has its answer and the server was not heard, the server
//! cannot be read, and the client's end owns it.

use crate::flow::Flow;
use crate::source::Sink;
use crate::source::live::address;
use apisec_abi::{
    DataHeader, FLAG_EGRESS, FLAG_INSIDE, FLAG_SYN_SEEN, Open, ROLE_CLIENT, ROLE_UNKNOWN, TOLD_ALPN,
    TOLD_OWN, TOLD_PEER, TlsData, TlsEnd, TlsTie,
};
use apisec_proto::call::Vantage;
use apisec_proto::segment::{ConnId, Segment, Side};
use apisec_proto::wire::may_be_read;
use apisec_proto::wire::tls::handshake::{Handshake, name_of, subject_of};
use compact_str::CompactString;
use foldhash::fast::RandomState;
use lru::LruCache;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;

/// How HTTP/2 begins: inside TLS only where ALPN agreed on it (RFC 9113 §3.2), which TLS 1.3 encrypts.
const HTTP2: &[u8] = b"PRI * HTTP/2.0";
/// Sessions that are remembered.
const MAX_SESSIONS: usize = 65_536;
/// TLS connections that are remembered.
const MAX_CONNECTIONS: usize = 65_536;
/// Ties that wait for their connection to be recognised.
const MAX_WAITING: usize = 4096;
/// Plaintext that is held of one session or connection while something about it is not known.
const MAX_HELD: usize = 256 << 10;
/// The same of all together.
const MAX_HELD_TOTAL: usize = 16 << 20;
/// Things that a library tells of one session: it tells each once.
const MAX_TOLD: usize = 3;

/// Where plaintext goes.
pub struct Way<'a> {
    /// Unix nanoseconds minus monotonic nanoseconds.
    pub offset: u64,
    /// Takes it.
    pub sink: &'a mut dyn Sink,
    /// The TLS library of a process.
    pub library: &'a dyn Fn(u32) -> CompactString,
}

/// A session: process, object, and when it was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    tgid: u32,
    object: u64,
    born: u64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Plaintext bytes of sessions that were handed on.
    pub bytes: u64,
    /// Plaintext bytes that were seen at both ends, and counted at the server's.
    pub covered: u64,
    /// Sessions that were tied to a connection.
    pub tied: u64,
    /// Ties that were refused: what the thread had read last was no TLS connection.
    pub refused: u64,
    /// Plaintext bytes that were given up because their connection did not become known.
    pub untied: u64,
}

/// Plaintext in wait.
struct Held {
    data: TlsData,
    bytes: Box<[u8]>,
}

#[derive(Default)]
struct Session {
    /// The connection, by the cookie under which it is counted, and which end of it this process has.
    tie: Option<(u64, Side)>,
    held: Vec<Held>,
    held_bytes: usize,
    /// What its library has told, while the connection is not known.
    told: Vec<(u8, CompactString)>,
    /// What is added to its positions, by direction, once it has spoken.
    base: [Option<u32>; 2],
}

/// Whose plaintext of a connection counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Nobody has spoken yet but the client of a local pair.
    Open,
    /// This end's.
    End(Side),
}

struct Connection {
    flow: Flow,
    owner: Owner,
    /// Next positions, of what the client and what the server sends.
    next: [u32; 2],
    /// The client's plaintext, while the owner is open.
    held: Vec<(Key, Held)>,
    held_bytes: usize,
    greeting: Greeting,
    /// The library that the client's plaintext was read from, once it has spoken: then what is known of the session is told.
    library: Option<CompactString>,
    /// Its first plaintext was the preface of HTTP/2.
    preface: bool,
    inside: Inside,
}

impl Connection {
    /// Tells what is known of the session, once its client has spoken.
    fn tell(&self, cookie: u64, sink: &mut dyn Sink) {
        let Some(library) = &self.library else { return };
        let mut tls = self.greeting.handshake.seen().clone();
        if tls.alpn.is_empty() && self.preface {
            tls.alpn = "h2".into();
        }
        tls.library = library.clone();
        sink.secured(ConnId(cookie), &Arc::new(tls));
    }
}

/// What was made of the inside of a TLS connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inside {
    /// No plaintext of it was handed on.
    #[default]
    Unread,
    /// Plaintext was handed on, and none of it began like a protocol that is read.
    Foreign,
    /// It is a protocol that is read.
    Read,
}

/// What both sides said in clear.
#[derive(Default)]
struct Greeting {
    handshake: Handshake,
    /// Sequence numbers of the next bytes.
    next: [Option<u32>; 2],
}

impl Greeting {
    fn bytes(&mut self, from: Side, seq: u32, total: u32, bytes: &[u8]) {
        let expected = pick(&mut self.next, from);
        let in_order = expected.is_none_or(|expected| expected == seq);
        let again = expected.is_some_and(|expected| expected.wrapping_sub(seq).cast_signed() > 0);
        if again {
            return;
        }
        *expected = Some(seq.wrapping_add(total));
        if in_order {
            self.handshake.bytes(from, bytes);
        }
        if !in_order || bytes.len() < total as usize {
            self.handshake.interrupt(from);
        }
    }
}

/// See the module.
pub struct Sessions {
    sessions: LruCache<Key, Session, RandomState>,
    connections: LruCache<u64, Connection, RandomState>,
    /// Connections whose server's end is probed, by the cookie of the client's socket.
    clients: LruCache<u64, u64, RandomState>,
    /// The same by the addresses of client and server.
    pairs: LruCache<(SocketAddr, SocketAddr), u64, RandomState>,
    /// Ties to connections that are not known as TLS, by cookie: they may become so.
    waiting: LruCache<u64, TlsTie, RandomState>,
    held: usize,
    /// See [`Counts`].
    pub counts: Counts,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            sessions: bounded(),
            connections: bounded(),
            clients: bounded(),
            pairs: bounded(),
            waiting: bounded(),
            held: 0,
            counts: Counts::default(),
        }
    }
}

/// A bounded cache preallocates; the bound is kept by [`remember`] instead.
fn bounded<K: Hash + Eq, V>() -> LruCache<K, V, RandomState> {
    LruCache::unbounded_with_hasher(RandomState::default())
}

fn remember<K: Hash + Eq, V>(
    cache: &mut LruCache<K, V, RandomState>,
    most: usize,
    key: K,
    value: V,
) -> Option<V> {
    cache.put(key, value);
    if cache.len() > most { cache.pop_lru().map(|(_, value)| value) } else { None }
}

impl Sessions {
    /// The kernel has recognised a TLS connection at a probed end.
    pub fn opened(&mut self, open: &Open, way: &mut Way<'_>) {
        let (local, remote) =
            (address(open.local_addr, open.local_port), address(open.remote_addr, open.remote_port));
        let flow = flow(open.role, local, remote);
        if flow.vantage == Vantage::Server {
            if open.client_cookie != 0 {
                remember(&mut self.clients, MAX_CONNECTIONS, open.client_cookie, open.cookie);
            }
            remember(&mut self.pairs, MAX_CONNECTIONS, (flow.client, flow.server), open.cookie);
        }
        self.connect(open.cookie, flow);
        if let Some(tie) = self.waiting.pop(&open.cookie) {
            self.tied(&tie, way);
        }
    }

    /// A part of a handshake, in clear.
    pub fn greeted(&mut self, header: &DataHeader, bytes: &[u8]) {
        let Some(connection) = self.connections.peek_mut(&header.cookie) else { return };
        let own = side(connection.flow.vantage);
        let from = if header.flags & FLAG_EGRESS != 0 { own } else { own.peer() };
        connection.greeting.bytes(from, header.seq, header.total, bytes);
    }

    /// What was made of the plaintext of a connection.
    #[must_use]
    pub fn inside(&self, cookie: u64) -> Inside {
        self.connections.peek(&cookie).map_or(Inside::Unread, |connection| connection.inside)
    }

    /// The client's end of a connection was taken for one of its own before the server's was seen.
    pub fn superseded(&mut self, client: u64, server: u64) {
        if let Some(forgotten) = self.connections.pop(&client) {
            self.drop_held(forgotten.held.iter().map(|(_, held)| held), forgotten.held_bytes);
            remember(&mut self.clients, MAX_CONNECTIONS, client, server);
        }
    }

    fn connect(&mut self, cookie: u64, flow: Flow) {
        let connection = Connection {
            flow,
            owner: Owner::Open,
            next: [0; 2],
            held: Vec::new(),
            held_bytes: 0,
            greeting: Greeting::default(),
            library: None,
            preface: false,
            inside: Inside::Unread,
        };
        if let Some(evicted) = remember(&mut self.connections, MAX_CONNECTIONS, cookie, connection) {
            self.drop_held(evicted.held.iter().map(|(_, held)| held), evicted.held_bytes);
        }
    }

    /// A session goes over a connection.
    pub fn tied(&mut self, tie: &TlsTie, way: &mut Way<'_>) {
        let Some((cookie, side)) = self.end_of(tie) else {
            self.counts.refused += 1;
            remember(&mut self.waiting, MAX_WAITING, tie.cookie, *tie);
            return;
        };
        self.counts.tied += 1;
        let key = Key { tgid: tie.tgid, object: tie.session, born: tie.born };
        let session = self.session(key);
        if session.tie != Some((cookie, side)) {
            session.base = [None; 2];
        }
        session.tie = Some((cookie, side));
        let (held, bytes) = (std::mem::take(&mut session.held), std::mem::take(&mut session.held_bytes));
        let told = std::mem::take(&mut session.told);
        self.held -= bytes;
        for (what, value) in told {
            self.learn((cookie, side), what, &value, way);
        }
        for held in held {
            self.hand_on(key, &held.data, &held.bytes, way);
        }
    }

    /// The connection that a tie means, as it is counted, and which end of it the process has.
    fn end_of(&mut self, tie: &TlsTie) -> Option<(u64, Side)> {
        if let Some(connection) = self.connections.get(&tie.cookie) {
            return Some((tie.cookie, side(connection.flow.vantage)));
        }
        let (local, remote) =
            (address(tie.local_addr, tie.local_port), address(tie.remote_addr, tie.remote_port));
        let served = self.clients.get(&tie.cookie).or_else(|| self.pairs.peek(&(local, remote)));
        if let Some(served) = served.copied().filter(|served| self.connections.contains(served)) {
            return Some((served, Side::Client));
        }
        if tie.flags & FLAG_INSIDE == 0 {
            return None;
        }
        // Not recognised in the kernel (it began as something else): the higher port is the client's, until somebody is heard
        // asking: the decoder says who asks, and the ends are exchanged.
        let role = if local.port() > remote.port() { ROLE_CLIENT } else { ROLE_UNKNOWN };
        let flow = flow(role, local, remote);
        self.connect(tie.cookie, flow);
        Some((tie.cookie, side(flow.vantage)))
    }

    /// Plaintext of a session.
    pub fn data(&mut self, data: &TlsData, bytes: &[u8], way: &mut Way<'_>) {
        let key = Key { tgid: data.tgid, object: data.session, born: data.born };
        let room = self.held + bytes.len() <= MAX_HELD_TOTAL;
        let session = self.session(key);
        if session.tie.is_some() {
            return self.hand_on(key, data, bytes, way);
        }
        if !room || session.held_bytes + bytes.len() > MAX_HELD {
            self.counts.untied += u64::from(data.total);
            return;
        }
        session.held_bytes += bytes.len();
        session.held.push(Held { data: *data, bytes: bytes.into() });
        self.held += bytes.len();
    }

    /// A library has told something of a session.
    pub fn told(&mut self, data: &TlsData, bytes: &[u8], way: &mut Way<'_>) {
        let value = if data.flags == TOLD_ALPN { name_of(bytes) } else { subject_of(bytes) };
        let Some(value) = value else { return };
        let session = self.session(Key { tgid: data.tgid, object: data.session, born: data.born });
        match session.tie {
            Some(tie) => self.learn(tie, data.flags, &value, way),
            None if session.told.len() < MAX_TOLD => session.told.push((data.flags, value)),
            None => {}
        }
    }

    /// It is known of which connection, and which end of it the library has.
    fn learn(&mut self, (cookie, end): (u64, Side), what: u8, value: &CompactString, way: &mut Way<'_>) {
        let Some(connection) = self.connections.peek_mut(&cookie) else { return };
        let handshake = &mut connection.greeting.handshake;
        match what {
            TOLD_ALPN => handshake.agreed(value),
            TOLD_OWN => handshake.showed(end, value),
            TOLD_PEER => handshake.showed(end.peer(), value),
            _ => {}
        }
        connection.tell(cookie, way.sink);
    }

    fn session(&mut self, key: Key) -> &mut Session {
        if !self.sessions.contains(&key)
            && let Some(evicted) = remember(&mut self.sessions, MAX_SESSIONS, key, Session::default())
        {
            self.drop_held(evicted.held.iter(), evicted.held_bytes);
        }
        self.sessions.get_or_insert_mut(key, Session::default)
    }

    fn drop_held<'a>(&mut self, held: impl Iterator<Item = &'a Held>, bytes: usize) {
        self.counts.untied += held.map(|held| u64::from(held.data.total)).sum::<u64>();
        self.held -= bytes;
    }

    /// Plaintext of a session whose connection is known: decides whose counts.
    fn hand_on(&mut self, key: Key, data: &TlsData, bytes: &[u8], way: &mut Way<'_>) {
        let Some((cookie, end)) = self.sessions.peek(&key).and_then(|session| session.tie) else { return };
        let Some(connection) = self.connections.get_mut(&cookie) else {
            self.counts.untied += u64::from(data.total);
            return;
        };
        let probed = side(connection.flow.vantage);
        let answered = data.flags & FLAG_EGRESS == 0;
        match connection.owner {
            Owner::End(owner) if owner == end => {}
            Owner::End(_) => {
                self.counts.covered += u64::from(data.total);
                return;
            }
            Owner::Open if end == probed => {
                connection.owner = Owner::End(end);
                let (held, freed) =
                    (std::mem::take(&mut connection.held), std::mem::take(&mut connection.held_bytes));
                self.counts.covered += held.iter().map(|(_, held)| u64::from(held.data.total)).sum::<u64>();
                self.held -= freed;
            }
            Owner::Open if answered => {
                connection.owner = Owner::End(end);
                let (held, freed) =
                    (std::mem::take(&mut connection.held), std::mem::take(&mut connection.held_bytes));
                self.held -= freed;
                for (key, held) in held {
                    self.emit(key, &held.data, &held.bytes, way);
                }
            }
            Owner::Open => {
                if connection.held_bytes + bytes.len() > MAX_HELD || self.held + bytes.len() > MAX_HELD_TOTAL
                {
                    self.counts.untied += u64::from(data.total);
                    return;
                }
                connection.held_bytes += bytes.len();
                self.held += bytes.len();
                connection.held.push((key, Held { data: *data, bytes: bytes.into() }));
                return;
            }
        }
        self.emit(key, data, bytes, way);
    }

    fn emit(&mut self, key: Key, data: &TlsData, bytes: &[u8], way: &mut Way<'_>) {
        let Some(session) = self.sessions.peek_mut(&key) else { return };
        let Some((cookie, end)) = session.tie else { return };
        let Some(connection) = self.connections.peek_mut(&cookie) else { return };
        let written = data.flags & FLAG_EGRESS != 0;
        let from = if written { end } else { end.peer() };
        let (base, next) = (pick(&mut session.base, from), pick(&mut connection.next, from));
        let base = *base.get_or_insert(next.wrapping_sub(data.seq));
        let seq = data.seq.wrapping_add(base);
        *next = seq.wrapping_add(data.total);
        self.counts.bytes += u64::from(data.total);
        let segment = Segment {
            conn: ConnId(cookie),
            at: data.at.saturating_add(way.offset),
            from,
            syn_seen: data.flags & FLAG_SYN_SEEN != 0,
            seq,
            len: data.total,
            bytes,
            fin: false,
            rst: false,
        };
        way.sink.segment(&segment, &connection.flow);
        if connection.inside != Inside::Read {
            // Met in the middle, the first bytes may be those of a body: the guess is revised.
            let read = may_be_read(bytes);
            connection.inside = if read { Inside::Read } else { Inside::Foreign };
        }
        // The client tells which protocol it is; a server of HTTP/2 may speak first.
        if connection.library.is_none() && from == Side::Client {
            connection.library = Some((way.library)(key.tgid));
            connection.preface = bytes.starts_with(HTTP2);
            connection.tell(cookie, way.sink);
        }
    }

    /// A session was given up by its program.
    pub fn ended(&mut self, end: &TlsEnd, way: &mut Way<'_>) {
        let key = Key { tgid: end.tgid, object: end.session, born: end.born };
        let Some(session) = self.sessions.pop(&key) else { return };
        self.drop_held(session.held.iter(), session.held_bytes);
        let Some((cookie, side)) = session.tie else { return };
        let Some(connection) = self.connections.peek(&cookie) else { return };
        if connection.owner != Owner::End(side) {
            return;
        }
        for from in [Side::Client, Side::Server] {
            let [client, server] = connection.next;
            let segment = Segment {
                conn: ConnId(cookie),
                at: end.at.saturating_add(way.offset),
                from,
                syn_seen: false,
                seq: if from == Side::Client { client } else { server },
                len: 0,
                bytes: &[],
                fin: true,
                rst: false,
            };
            way.sink.segment(&segment, &connection.flow);
        }
    }
}

fn pick<T>(pair: &mut [T; 2], side: Side) -> &mut T {
    let [client, server] = pair;
    if side == Side::Client { client } else { server }
}

/// The end at which a connection is probed.
const fn side(vantage: Vantage) -> Side {
    match vantage {
        Vantage::Server => Side::Server,
        Vantage::Client => Side::Client,
    }
}

/// The connection of a probed end.
pub(super) fn flow(role: u8, local: SocketAddr, remote: SocketAddr) -> Flow {
    if role == ROLE_CLIENT {
        Flow { client: local, server: remote, vantage: Vantage::Client }
    } else {
        Flow { client: remote, server: local, vantage: Vantage::Server }
    }
}
