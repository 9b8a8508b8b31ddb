//! Traffic of this node, from the kernel.
//!
//! Waits for the ring and reads it; what a record means is not decided here.

mod desk;
mod ends;
mod pace;

pub use self::desk::address;
use self::desk::{Desk, Shipped};
use self::ends::Ends;
use self::pace::Pace;
use crate::attach::{self, Attached, Bodies, Own};
use crate::clock;
use crate::heap;
use crate::reach::Reach;
use crate::readiness;
use crate::source::{Progress, Sink, Source, SourceError, SourceStats, TlsUse};
use crate::tls::opaque::{self, Unread};
use crate::tls::probes::Probes;
use crate::tls::sessions::Sessions;
use apisec_abi::{ROLE_UNKNOWN, Seed, VERDICT_DISMISSED, VERDICT_HTTP2, VERDICT_MESSAGES};
use apisec_engine::coverage::CoverageView;
use apisec_engine::degradation::Degradation;
use apisec_proto::segment::ConnId;
use rustix::event::epoll;
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
/// Names of the kernel's counters that are losses.
const LOSSES: [&str; 9] = [
    "lost_ring_full",
    "lost_identity",
    "lost_copy",
    "lost_state",
    "lost_tls_copy",
    "lost_tls_state",
    "lost_tls_ring_full",
    "lost_tls_flood",
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
    /// It was told that everything is attached.
    ready: bool,
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
        // The loader has read the types of the whole kernel, which nobody needs any more.
        heap::trim();
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
            ready: false,
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
        if !self.ready && self.probes.as_ref().is_none_or(Probes::has_looked) {
            self.ready = true;
            readiness::tell();
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
        all.extend(self.probes.iter().flat_map(Probes::degradations));
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
