//! The named ends of the connections that are in use.

use crate::flow::Flow;
use crate::identity::{Certainty, Identity, Parties};
use apisec_proto::call::Tls;
use apisec_proto::segment::{ConnId, Side};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;

/// Connections that are remembered; beyond it the ends are looked up again when needed. 50,000 idle
/// connections must fit, with room for as many short ones.
const MAX_CONNS: usize = 131_072;
/// An idle connection is forgotten after this; its ends are looked up again when it speaks.
const FORGET_AFTER: u64 = 300 * 1_000_000_000;
/// A connection that ended is remembered for this long: data that was overtaken by its FIN still has a name.
const LINGER: u64 = 2_000_000_000;
/// Ends that were not settled are asked for again after this many nanoseconds, and then ever later...
const ASK_AGAIN: u64 = 200_000_000;
/// ...but often while calls wait for them.
const ASK_SOON: u64 = 20_000_000;

/// What is known of one connection.
pub(super) struct Conn {
    flow: Flow,
    parties: Option<Parties>,
    /// When unsettled parties are asked for again; `u64::MAX` when settled.
    ask_at: u64,
    asked: u32,
    last: u64,
    ended: [bool; 2],
    /// Calls that wait until its ends have a name.
    held: u32,
    /// The TLS session, when there is one.
    tls: Option<Arc<Tls>>,
    /// It counts as a connection that was read.
    counted: bool,
}

/// The table.
#[derive(Default)]
pub(super) struct Conns {
    conns: HashMap<ConnId, Conn, RandomState>,
    /// Connections that were forgotten because of [`MAX_CONNS`].
    pub(super) evicted: u64,
}

impl Conns {
    /// A segment of `conn` was seen.
    pub(super) fn touch(&mut self, conn: ConnId, flow: &Flow, at: u64) {
        if let Some(known) = self.conns.get_mut(&conn) {
            known.last = at;
            return;
        }
        if self.conns.len() >= MAX_CONNS {
            self.forget_oldest();
        }
        let new = Conn {
            flow: *flow,
            parties: None,
            ask_at: 0,
            asked: 0,
            last: at,
            ended: [false; 2],
            held: 0,
            tls: None,
            counted: false,
        };
        self.conns.insert(conn, new);
    }

    /// One side ended.
    pub(super) fn end(&mut self, conn: ConnId, side: Side) {
        let Some(known) = self.conns.get_mut(&conn) else { return };
        let [client, server] = &mut known.ended;
        match side {
            Side::Client => *client = true,
            Side::Server => *server = true,
        }
    }

    /// Both sides ended.
    pub(super) fn reset(&mut self, conn: ConnId) {
        if let Some(known) = self.conns.get_mut(&conn) {
            known.ended = [true; 2];
        }
    }

    /// The ends of `conn` as the requester sees them, and their names.
    pub(super) fn parties(
        &mut self,
        conn: ConnId,
        requester: Side,
        at: u64,
        identity: &mut dyn Identity,
    ) -> Option<(&Flow, &Parties)> {
        let known = self.conns.get_mut(&conn)?;
        let flow = if requester == Side::Server { known.flow.flipped() } else { known.flow };
        if flow != known.flow {
            known.flow = flow;
            known.parties = None;
        }
        if known.parties.is_none() || at >= known.ask_at {
            let parties = identity.parties(conn, &known.flow);
            known.asked = known.asked.saturating_add(1);
            known.ask_at = match parties.certainty {
                Certainty::Settled => u64::MAX,
                Certainty::Later => at.saturating_add(ASK_AGAIN << known.asked.min(8)),
                Certainty::Young | Certainty::Asked => at.saturating_add(ASK_SOON),
            };
            known.parties = Some(parties);
        }
        Some((&known.flow, known.parties.as_ref()?))
    }

    /// Whether this is the first call of `conn`; it is not, from now on.
    pub(super) fn is_first(&mut self, conn: ConnId) -> bool {
        self.conns.get_mut(&conn).is_some_and(|known| !std::mem::replace(&mut known.counted, true))
    }

    /// What is known of the TLS session of `conn`.
    pub(super) fn secure(&mut self, conn: ConnId, tls: Arc<Tls>) {
        if let Some(known) = self.conns.get_mut(&conn) {
            known.tls = Some(tls);
        }
    }

    /// The TLS session of `conn`, when there is one.
    pub(super) fn tls(&self, conn: ConnId) -> Option<Arc<Tls>> {
        self.conns.get(&conn)?.tls.clone()
    }

    /// Calls of `conn` that wait.
    pub(super) fn held(&mut self, conn: ConnId) -> Option<&mut u32> {
        self.conns.get_mut(&conn).map(|known| &mut known.held)
    }

    /// Names have changed: all are asked for again.
    pub(super) fn ask_again(&mut self) {
        self.conns.values_mut().for_each(|known| known.ask_at = 0);
    }

    /// Forgets `conn`.
    pub(super) fn remove(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }

    /// Forgets what is over or has been idle for long; `forgotten` is told.
    pub(super) fn sweep(&mut self, now: u64, mut forgotten: impl FnMut(ConnId)) {
        self.conns.retain(|conn, known| {
            let patience = if known.ended == [true; 2] { LINGER } else { FORGET_AFTER };
            let keep = now.saturating_sub(known.last) < patience;
            if !keep {
                forgotten(*conn);
            }
            keep
        });
    }

    /// Connections that are remembered.
    pub(super) fn len(&self) -> usize {
        self.conns.len()
    }

    /// Makes room by forgetting the older half: amortised, and rare.
    fn forget_oldest(&mut self) {
        let mut times: Vec<u64> = self.conns.values().map(|conn| conn.last).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        let before = self.conns.len();
        self.conns.retain(|_, conn| conn.last > median);
        self.evicted += (before - self.conns.len()) as u64;
    }
}
