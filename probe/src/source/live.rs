//! Traffic of this node, from the kernel.
//!
//! Reads the ring, turns records into segments, and makes sure that a connection between two local ends
//! counts once: the kernel dismisses the client's end when it knows the server's; where it could not know
//! (connections older than us, a handshake that raced), both ends arrive here and the client's is dropped.

mod pace;

use self::pace::Pace;
use crate::attach::{self, Attached, Bodies, Own};
use crate::clock;
use crate::flow::Flow;
use crate::reach::Reach;
use crate::source::{Progress, Sink, Source, SourceError, SourceStats, TlsUse};
use crate::tls::opaque::{self, Unread};
use crate::tls::probes::Probes;
use crate::tls::sessions::{Sessions, Way};
use apisec_abi::{
    DataHeader, Exec, Exit, FLAG_EGRESS, FLAG_FIN, FLAG_HANDSHAKE, FLAG_RST, FLAG_SYN_SEEN, KIND_DATA,
    KIND_EXEC, KIND_EXIT, KIND_OPAQUE, KIND_OPEN, KIND_TLS_DATA, KIND_TLS_END, KIND_TLS_TIE, OpaqueBytes,
    Open, ROLE_CLIENT, ROLE_UNKNOWN, Seed, TlsData, TlsEnd, TlsTie, VERDICT_DISMISSED, VERDICT_HTTP2,
    VERDICT_MESSAGES, VERDICT_TLS, VERDICT_TLS_HELLO,
};
use apisec_engine::coverage::CoverageView;
use apisec_engine::degradation::Degradation;
use apisec_proto::call::Vantage;
use apisec_proto::segment::{ConnId, Segment, Side};
use foldhash::fast::RandomState;
use lru::LruCache;
use rustix::event::epoll;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Records handed on per poll: some milliseconds of work, so that stopping and ticking stay prompt.
const BATCH: usize = 8192;
/// Wait between polls while there is traffic: long enough to read many records per wake-up.
const BUSY_WAIT: Duration = Duration::from_millis(8);
/// Wait between polls of an idle node.
const IDLE_WAIT: Duration = Duration::from_millis(40);
/// How often it is told what was not read, nanoseconds.
const TELL_EVERY: u64 = 500_000_000;
/// Recent connections whose ends may still have to be joined.
const JOINED: usize = 65_536;
/// Names of the kernel's counters that are losses.
const LOSSES: [&str; 8] = [
    "lost_ring_full",
    "lost_identity",
    "lost_copy",
    "lost_state",
    "lost_tls_copy",
    "lost_tls_state",
    "lost_tls_ring_full",
    "lost_deferred",
];

/// The live source.
pub struct Live {
    attached: Attached,
    epoll: OwnedFd,
    /// Unix nanoseconds minus monotonic nanoseconds.
    clock_offset: u64,
    ends: Ends,
    chunks: u64,
    unreadable: u64,
    shipped: Shipped,
    sessions: Sessions,
    unread: Unread,
    /// When it was last told what was not read, monotonic nanoseconds.
    told: u64,
    /// `None` when the hook was refused.
    probes: Option<Probes>,
    /// The last poll found something.
    busy: bool,
    pace: Pace,
}

impl Live {
    /// Attaches to the kernel; `seed` says what is known of connections that are already open.
    ///
    /// # Errors
    /// No rights, no cgroup2, or a kernel that refuses a required hook.
    pub fn start(
        own: Own,
        bodies: Bodies,
        seed: impl FnOnce() -> Vec<(u64, Seed)>,
    ) -> Result<Self, SourceError> {
        Self::within(&Reach::Node, own, bodies, seed)
    }

    /// As [`Live::start`], for a part of the node.
    ///
    /// # Errors
    /// As [`Live::start`].
    pub fn within(
        reach: &Reach,
        own: Own,
        bodies: Bodies,
        seed: impl FnOnce() -> Vec<(u64, Seed)>,
    ) -> Result<Self, SourceError> {
        let mut probes = Probes::start();
        let mut probed = false;
        let attached = attach::attach(own, reach, bodies, seed, |prober| {
            probes.first(prober);
            probed = true;
        })?;
        let epoll = watch(&attached)?;
        let pace = Pace::start(watch(&attached)?);
        Ok(Self {
            attached,
            epoll,
            clock_offset: clock::now().saturating_sub(clock::monotonic()),
            ends: Ends::default(),
            chunks: 0,
            unreadable: 0,
            shipped: Shipped::default(),
            sessions: Sessions::default(),
            unread: Unread::default(),
            told: 0,
            probes: probed.then_some(probes),
            busy: false,
            pace,
        })
    }

    /// Puts probes into a file, apart from those that are found.
    ///
    /// # Errors
    /// The kernel refuses them; nothing is said when the hook is not attached, which is known already.
    pub fn probe(&mut self, plan: &attach::tls::Plan) -> Result<(), Degradation> {
        if self.probes.is_none() {
            return Ok(());
        }
        let outcome = self.attached.prober().probe(plan);
        outcome.map(drop).map_err(|error| attach::missing(&attach::tls::HOOK, &error))
    }

    /// Tells what was not read, now and then.
    fn tell(&mut self, sink: &mut dyn Sink) {
        let now = clock::monotonic();
        if now.saturating_sub(self.told) >= TELL_EVERY {
            self.told = now;
            self.unread.tell(now, self.clock_offset, &self.sessions, sink);
        }
    }

    /// Hands on up to [`BATCH`] records; returns how many.
    fn drain(&mut self, sink: &mut dyn Sink) -> usize {
        let mut read = 0;
        while read < BATCH {
            let Some(item) = self.attached.ring.next() else { break };
            read += 1;
            let mut desk = Desk {
                clock_offset: self.clock_offset,
                ends: &mut self.ends,
                shipped: &mut self.shipped,
                sessions: &mut self.sessions,
                unread: &mut self.unread,
                probes: &mut self.probes,
            };
            if desk.hand_on(&item, sink).is_none() {
                self.unreadable += 1;
            }
        }
        self.chunks += read as u64;
        read
    }

    fn wait(&self) {
        let timeout = if self.busy { BUSY_WAIT } else { IDLE_WAIT };
        let timeout = rustix::time::Timespec { tv_sec: 0, tv_nsec: i64::from(timeout.subsec_nanos()) };
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
        // An interrupted or failed wait is a shorter wait.
        let _woken = epoll::wait(&self.epoll, &mut events, Some(&timeout));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(probes) = &mut self.probes {
            probes.release(&mut self.attached.prober());
        }
    }
}

impl Source for Live {
    fn describe(&self) -> String {
        "live".into()
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> Result<Progress, SourceError> {
        if let Some(probes) = &mut self.probes {
            probes.go_on(&mut self.attached.prober());
        }
        self.tell(sink);
        // Records pile up while we wait: fewer, larger batches cost the watched services less. What they lead to is
        // told the kernel right after.
        self.wait();
        let read = self.drain(sink);
        if read < BATCH {
            self.pace.caught_up();
        }
        self.busy = read > 0;
        Ok(if self.busy { Progress::Some } else { Progress::Idle })
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.unread.tell(u64::MAX, self.clock_offset, &self.sessions, sink);
    }

    fn now(&self) -> u64 {
        clock::now()
    }

    fn stats(&mut self) -> SourceStats {
        let mut stats = SourceStats { chunks: self.chunks, ..SourceStats::default() };
        for (name, value) in self.attached.counters() {
            let known = if LOSSES.contains(&name) { &mut stats.losses } else { &mut stats.counters };
            known.insert(name.to_owned(), value);
        }
        stats.losses.insert("unreadable_records".into(), self.unreadable);
        stats.counters.insert("joined_late".into(), self.ends.joined);
        stats.counters.insert("bytes_http1".into(), self.shipped.total);
        stats.counters.insert("bytes_skipped".into(), self.shipped.total - self.shipped.copied);
        let tls = self.sessions.counts;
        stats.counters.insert("tls_bytes_decrypted".into(), tls.bytes);
        stats.counters.insert("tls_bytes_covered".into(), tls.covered);
        stats.counters.insert("tls_sessions_tied".into(), tls.tied);
        stats.counters.insert("tls_ties_refused".into(), tls.refused);
        stats.losses.insert("tls_bytes_untied".into(), tls.untied);
        stats
    }

    fn degradations(&self) -> Vec<Degradation> {
        let mut all = self.attached.degradations.clone();
        all.extend(self.probes.as_ref().and_then(Probes::degradation));
        all
    }

    fn follow_http2(&mut self, conn: ConnId) {
        self.attached.revise(conn.0, Seed { role: ROLE_UNKNOWN, verdict: VERDICT_HTTP2, pad: [0; 6] });
    }

    fn tls_of(&self, pid: u32) -> Option<TlsUse> {
        self.probes.as_ref()?.tls_of(pid)
    }

    fn blind(&mut self) -> Vec<CoverageView> {
        let counters = self.stats().counters;
        opaque::of_the_node(&counters, self.sessions.counts.untied)
    }

    fn dismiss(&mut self, conn: ConnId) {
        self.attached.revise(conn.0, Seed { role: ROLE_UNKNOWN, verdict: VERDICT_DISMISSED, pad: [0; 6] });
    }

    fn want(&mut self, port: u16, bodies: u32) {
        self.attached.want(port, bodies);
    }

    fn stream(&mut self, conn: ConnId) {
        self.attached.revise(conn.0, Seed { role: ROLE_UNKNOWN, verdict: VERDICT_MESSAGES, pad: [0; 6] });
    }
}

/// Edge-triggered: the ring is readable nearly always, and only a forced wake-up shall end a wait early.
fn watch(attached: &Attached) -> Result<OwnedFd, SourceError> {
    let watched = || {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &attached.ring, epoll::EventData::new_u64(1), flags)?;
        Ok(epoll)
    };
    watched().map_err(|error: rustix::io::Errno| SourceError {
        what: format!("the ring buffer cannot be waited for: {error}"),
        remedy: "raise the limit of open files (ulimit -n)".into(),
    })
}

/// What records are handed on with; apart from the ring, which lends them.
struct Desk<'a> {
    clock_offset: u64,
    ends: &'a mut Ends,
    shipped: &'a mut Shipped,
    sessions: &'a mut Sessions,
    unread: &'a mut Unread,
    probes: &'a mut Option<Probes>,
}

impl Desk<'_> {
    /// Decodes one record; `None` when it is not one that this build knows.
    fn hand_on(&mut self, record: &[u8], sink: &mut dyn Sink) -> Option<()> {
        let offset = self.clock_offset;
        match *record.first()? {
            KIND_DATA => {
                let (header, payload) = data(record)?;
                if header.flags & FLAG_HANDSHAKE != 0 {
                    self.sessions.greeted(&header, payload);
                } else if !self.ends.is_covered(header.cookie) {
                    self.shipped.add(&header);
                    segment(&header, payload, offset, sink);
                }
            }
            KIND_OPEN => {
                let mut open = fixed::<Open>(record)?;
                open.at = open.at.saturating_add(offset);
                self.opened(&open, sink);
            }
            KIND_EXEC => {
                let mut exec = fixed::<Exec>(record)?;
                exec.at = exec.at.saturating_add(offset);
                if let Some(probes) = self.probes {
                    probes.started(exec.tgid);
                }
                sink.started(&exec);
            }
            KIND_EXIT => {
                let mut exit = fixed::<Exit>(record)?;
                exit.at = exit.at.saturating_add(offset);
                if let Some(probes) = self.probes {
                    probes.ended(exit.tgid);
                }
                sink.ended(&exit);
            }
            KIND_TLS_DATA => {
                let header = fixed::<TlsData>(record)?;
                let payload = record.get(size_of::<TlsData>()..)?.get(..header.captured as usize)?;
                self.joined(sink, |sessions, way| sessions.data(&header, payload, way));
            }
            KIND_TLS_TIE => {
                let tie = fixed(record)?;
                self.joined(sink, |sessions, way| sessions.tied(&tie, way));
            }
            KIND_TLS_END => {
                let end = fixed(record)?;
                self.joined(sink, |sessions, way| sessions.ended(&end, way));
            }
            KIND_OPAQUE => {
                let bytes = fixed::<OpaqueBytes>(record)?;
                if !self.ends.is_covered(bytes.cookie) {
                    self.unread.heard(&bytes);
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Plaintext of TLS, on its way to its connection.
    fn joined(&mut self, sink: &mut dyn Sink, join: impl FnOnce(&mut Sessions, &mut Way<'_>)) {
        let probes = self.probes.as_ref();
        let library = |pid| probes.map(|probes| probes.library_of(pid)).unwrap_or_default();
        join(self.sessions, &mut Way { offset: self.clock_offset, sink, library: &library });
    }

    fn opened(&mut self, open: &Open, sink: &mut dyn Sink) {
        if let Some(twice) = self.ends.join(open) {
            self.sessions.superseded(twice.0, open.cookie);
            sink.discard(twice);
        }
        if self.ends.is_covered(open.cookie) {
            return;
        }
        if matches!(open.verdict, VERDICT_TLS | VERDICT_TLS_HELLO) {
            self.joined(sink, |sessions, way| sessions.opened(open, way));
        }
        sink.opened(open);
    }
}

fn segment(header: &DataHeader, payload: &[u8], clock_offset: u64, sink: &mut dyn Sink) {
    let local = address(header.local_addr, header.local_port);
    let remote = address(header.remote_addr, header.remote_port);
    let (flow, local_side) = if header.role == ROLE_CLIENT {
        (Flow { client: local, server: remote, vantage: Vantage::Client }, Side::Client)
    } else {
        (Flow { client: remote, server: local, vantage: Vantage::Server }, Side::Server)
    };
    let segment = Segment {
        conn: ConnId(header.cookie),
        at: header.at.saturating_add(clock_offset),
        from: if header.flags & FLAG_EGRESS != 0 { local_side } else { local_side.peer() },
        syn_seen: header.flags & FLAG_SYN_SEEN != 0,
        seq: header.seq,
        len: header.total,
        bytes: payload,
        fin: header.flags & FLAG_FIN != 0,
        rst: header.flags & FLAG_RST != 0,
    };
    sink.segment(&segment, &flow);
}

/// An address from the kernel's 16 bytes; mapped IPv4 becomes IPv4.
#[must_use]
pub fn address(bytes: [u8; 16], port: u16) -> SocketAddr {
    let address = Ipv6Addr::from(bytes);
    let ip = address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4);
    SocketAddr::new(ip, port)
}

fn data(record: &[u8]) -> Option<(DataHeader, &[u8])> {
    let header = fixed::<DataHeader>(record)?;
    let payload = record.get(size_of::<DataHeader>()..)?;
    Some((header, payload.get(..header.captured as usize)?))
}

/// Records that cross the kernel boundary: plain integers, any bit pattern is a value.
trait Plain: Copy {}
impl Plain for DataHeader {}
impl Plain for Open {}
impl Plain for Exec {}
impl Plain for Exit {}
impl Plain for TlsData {}
impl Plain for OpaqueBytes {}
impl Plain for TlsTie {}
impl Plain for TlsEnd {}

#[expect(unsafe_code, reason = "the ABI records are plain integers, read from bytes of sufficient length")]
fn fixed<T: Plain>(record: &[u8]) -> Option<T> {
    let bytes = record.get(..size_of::<T>())?;
    // SAFETY: `bytes` is as long as `T`, and every bit pattern of `T` is a value.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// Payload bytes of the records that were handed on.
#[derive(Default)]
struct Shipped {
    total: u64,
    copied: u64,
}

impl Shipped {
    fn add(&mut self, header: &DataHeader) {
        self.total += u64::from(header.total);
        self.copied += u64::from(header.captured.min(header.total));
    }
}

/// Joins the two ends of local connections that the kernel could not join.
struct Ends {
    /// Probed ends that were seen, by what both ends agree on: client's cookie if it is the client's end.
    servers: LruCache<Key, (), RandomState>,
    clients: LruCache<Key, u64, RandomState>,
    covered: LruCache<u64, (), RandomState>,
    joined: u64,
}

/// What the two ends of one connection have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// The sequence numbers after the handshake: the same behind NAT and in every namespace.
    Handshake(u32, u32),
    /// Client's and server's address, for connections whose handshake was not seen.
    Addresses(SocketAddr, SocketAddr),
}

impl Default for Ends {
    fn default() -> Self {
        // A bounded cache preallocates; the bound is kept by `remember` instead.
        Self {
            servers: LruCache::unbounded_with_hasher(RandomState::default()),
            clients: LruCache::unbounded_with_hasher(RandomState::default()),
            covered: LruCache::unbounded_with_hasher(RandomState::default()),
            joined: 0,
        }
    }
}

impl Ends {
    fn is_covered(&mut self, cookie: u64) -> bool {
        !self.covered.is_empty() && self.covered.get(&cookie).is_some()
    }

    /// Notes an end; returns the client's end if it was handed on already and is superseded by this one.
    fn join(&mut self, open: &Open) -> Option<ConnId> {
        let key = key(open);
        if open.role == ROLE_CLIENT {
            if self.servers.get(&key).is_some() {
                self.cover(open.cookie);
            } else {
                remember(&mut self.clients, key, open.cookie);
            }
            return None;
        }
        remember(&mut self.servers, key, ());
        let twice = self.clients.pop(&key)?;
        self.cover(twice);
        Some(ConnId(twice))
    }

    fn cover(&mut self, cookie: u64) {
        self.joined += 1;
        remember(&mut self.covered, cookie, ());
    }
}

fn remember<K: Copy + Eq + std::hash::Hash, V>(cache: &mut LruCache<K, V, RandomState>, key: K, value: V) {
    if cache.len() >= JOINED {
        cache.pop_lru();
    }
    cache.put(key, value);
}

fn key(open: &Open) -> Key {
    if open.client_isn != 0 || open.server_isn != 0 {
        return Key::Handshake(open.client_isn, open.server_isn);
    }
    let (local, remote) =
        (address(open.local_addr, open.local_port), address(open.remote_addr, open.remote_port));
    if open.role == ROLE_CLIENT { Key::Addresses(local, remote) } else { Key::Addresses(remote, local) }
}
