//! Calls that wait for the names of their ends: a server that was started just now is found by a survey
//! that takes some milliseconds, and its first calls shall not be somebody unknown's.
//!
//! Calls of one connection keep their order. A call waits for [`PATIENCE`] at most, and at most [`MAX_HELD`]
//! do; beyond, calls take the best name there is and are counted. What waits is a call, which is redacted,
//! and holds all that detectors look at.

use super::conns::Conns;
use crate::identity::{Certainty, Identity};
use apisec_proto::call::Call;
use apisec_proto::segment::{ConnId, Side};
use std::collections::{BTreeMap, VecDeque};

/// How long a call waits, nanoseconds.
const PATIENCE: u64 = 1_000_000_000;
/// Calls that wait at once: about 4 MiB, and a second of four thousand calls a second to a new server.
const MAX_HELD: usize = 4_096;
/// Calls of processes that have only just started and may be servers in a moment, among them: a load
/// generator need not wait.
const MAX_YOUNG: usize = 256;
/// Names are looked up again this often, nanoseconds.
const LOOK_EVERY: u64 = 20_000_000;

/// A call that waits.
struct Held {
    call: Call,
    requester: Side,
    until: u64,
    young: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Hold {
    /// By connection, none of them empty: a connection that is handed on costs the others nothing.
    calls: BTreeMap<ConnId, VecDeque<Held>>,
    len: usize,
    young: usize,
    look_at: u64,
    /// Calls that could not wait until their names were known, since the start.
    pub(super) gave_up: u64,
}

/// Which calls need not wait any longer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// Those whose names are known or whose time is over.
    Due,
    /// Those too whose names nobody is looking for.
    Unasked,
    /// All.
    All,
}

impl Hold {
    /// Whether a call between ends that are so certain is to wait.
    pub(super) fn takes(&self, certainty: Certainty) -> bool {
        match certainty {
            Certainty::Settled | Certainty::Later => false,
            Certainty::Young => self.young < MAX_YOUNG && self.len < MAX_HELD,
            Certainty::Asked => self.len < MAX_HELD,
        }
    }

    /// Takes a call in.
    pub(super) fn push(&mut self, call: Call, (conn, requester): (ConnId, Side), young: bool, now: u64) {
        self.young += usize::from(young);
        self.len += 1;
        let held = Held { call, requester, until: now.saturating_add(PATIENCE), young };
        self.calls.entry(conn).or_default().push_back(held);
    }

    /// No call waits.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Whether it is time to look again.
    pub(super) fn is_due(&mut self, now: u64) -> bool {
        let due = !self.calls.is_empty() && now >= self.look_at;
        if due {
            self.look_at = now.saturating_add(LOOK_EVERY);
        }
        due
    }

    /// Hands on the calls that need not wait any longer, with the names that their ends have by now.
    pub(super) fn release(
        &mut self,
        which: Release,
        now: u64,
        conns: &mut Conns,
        identity: &mut dyn Identity,
        mut publish: impl FnMut(Call, ConnId),
    ) {
        for (conn, calls) in &mut self.calls {
            while let Some(held) = calls.front_mut() {
                let certainty = rename(held, *conn, now, conns, identity);
                let over = now >= held.until || which == Release::All;
                let known = certainty <= Certainty::Later
                    || which == Release::Unasked && certainty == Certainty::Young;
                if !over && !known {
                    break;
                }
                let Some(held) = calls.pop_front() else { break };
                self.gave_up += u64::from(!known);
                self.young -= usize::from(held.young);
                self.len -= 1;
                conns.held(*conn).into_iter().for_each(|held| *held = held.saturating_sub(1));
                publish(held.call, *conn);
            }
        }
        self.calls.retain(|_, calls| !calls.is_empty());
    }

    /// Hands on the calls of one connection: a later one has its names already, or may not wait.
    pub(super) fn release_conn(
        &mut self,
        conn: ConnId,
        now: u64,
        conns: &mut Conns,
        identity: &mut dyn Identity,
        mut publish: impl FnMut(Call),
    ) {
        for mut held in self.calls.remove(&conn).unwrap_or_default() {
            let certainty = rename(&mut held, conn, now, conns, identity);
            self.gave_up += u64::from(certainty > Certainty::Later);
            self.young -= usize::from(held.young);
            self.len -= 1;
            publish(held.call);
        }
        conns.held(conn).into_iter().for_each(|held| *held = 0);
    }
}

/// Gives a call the names that its ends have by now, and says how certain they are. A connection that is forgotten has none
/// but those it had.
fn rename(
    held: &mut Held,
    conn: ConnId,
    now: u64,
    conns: &mut Conns,
    identity: &mut dyn Identity,
) -> Certainty {
    conns.parties(conn, held.requester, now, identity).map_or(Certainty::Settled, |(_, parties)| {
        held.call.src = parties.src.clone();
        held.call.dst = parties.dst.clone();
        parties.certainty
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Flow;
    use crate::identity::Parties;
    use apisec_abi::{Exec, Exit, Open};
    use apisec_engine::degradation::Degradation;
    use apisec_proto::call::{Party, Vantage, Workload, WorkloadKind};
    use apisec_proto::namer::{Ends, Namer};
    use std::sync::Arc;

    const MILLISECOND: u64 = 1_000_000;

    /// Knows the server of the connections that are in it.
    #[derive(Default)]
    struct Known(Vec<ConnId>);

    fn party(number: u32, id: &str) -> Party {
        let workload = Workload::named(id, id, WorkloadKind::Process);
        Party { number, workload: Arc::new(workload) }
    }

    impl Identity for Known {
        fn parties(&mut self, conn: ConnId, _flow: &Flow) -> Parties {
            let known = self.0.contains(&conn);
            let (dst, certainty) = if known {
                ("process:shop:80", Certainty::Settled)
            } else {
                ("process:unknown", Certainty::Asked)
            };
            Parties { src: party(0, "process:curl"), dst: party(1, dst), certainty }
        }

        fn opened(&mut self, _open: &Open) {}
        fn started(&mut self, _exec: &Exec) {}
        fn ended(&mut self, _exit: &Exit) {}
        fn closed(&mut self, _conn: ConnId) {}
        fn tick(&mut self, _now: u64) {}
        fn degradations(&self) -> Vec<Degradation> {
            Vec::new()
        }
    }

    fn flow() -> Flow {
        let (client, server) = ("127.0.0.1:4000".parse().unwrap(), "127.0.0.1:80".parse().unwrap());
        Flow { client, server, vantage: Vantage::Server }
    }

    fn call(path: &str) -> Call {
        let (src, dst, flow) = (party(0, "process:curl"), party(1, "process:unknown"), flow());
        let (src_addr, dst_addr) = (flow.client, flow.server);
        let ends = Ends { src: &src, dst: &dst, src_addr, dst_addr, vantage: flow.vantage };
        Call { path: path.into(), ..Namer::blank(ends) }
    }

    /// Holds these calls of these connections since 0.
    fn held(calls: &[(u64, &str)]) -> (Hold, Conns) {
        let (mut hold, mut conns) = (Hold::default(), Conns::default());
        for (conn, path) in calls {
            let conn = ConnId(*conn);
            conns.touch(conn, &flow(), 0);
            hold.push(call(path), (conn, Side::Client), false, 0);
            *conns.held(conn).unwrap() += 1;
        }
        (hold, conns)
    }

    fn released(
        (hold, conns): (&mut Hold, &mut Conns),
        which: Release,
        now: u64,
        known: &mut Known,
    ) -> Vec<(String, String)> {
        let mut out = Vec::new();
        hold.release(which, now, conns, known, |call, _conn| {
            out.push((call.path.to_string(), call.dst.workload.id.to_string()));
        });
        out
    }

    fn named(paths: &[&str], dst: &str) -> Vec<(String, String)> {
        paths.iter().map(|path| ((*path).to_owned(), dst.to_owned())).collect()
    }

    #[test]
    fn calls_wait_for_their_names_and_keep_their_order() {
        let (mut hold, mut conns) = held(&[(1, "/a"), (2, "/x"), (1, "/b"), (1, "/c")]);
        let mut known = Known::default();
        let all = (&mut hold, &mut conns);
        assert_eq!(released(all, Release::Due, MILLISECOND, &mut known), []);
        known.0.push(ConnId(1));
        let all = (&mut hold, &mut conns);
        assert_eq!(
            released(all, Release::Due, 100 * MILLISECOND, &mut known),
            named(&["/a", "/b", "/c"], "process:shop:80")
        );
        assert_eq!((conns.held(ConnId(1)).copied(), hold.gave_up), (Some(0), 0));
        assert!(!hold.is_empty());
    }

    #[test]
    fn nobody_waits_longer_than_a_second_and_that_is_counted() {
        let (mut hold, mut conns) = held(&[(1, "/a"), (1, "/b")]);
        let all = (&mut hold, &mut conns);
        assert_eq!(released(all, Release::Due, PATIENCE - 1, &mut Known::default()), []);
        let all = (&mut hold, &mut conns);
        let expected = named(&["/a", "/b"], "process:unknown");
        assert_eq!(released(all, Release::Due, PATIENCE, &mut Known::default()), expected);
        assert_eq!(hold.gave_up, 2);
    }

    #[test]
    fn what_waits_is_bounded_and_a_connection_that_is_forgotten_keeps_its_names() {
        let many: Vec<(u64, &str)> = vec![(1, "/a"); MAX_HELD];
        let (mut hold, mut conns) = held(&many);
        assert!(!hold.takes(Certainty::Asked) && !hold.takes(Certainty::Young));
        conns.remove(ConnId(1));
        let all = (&mut hold, &mut conns);
        let out = released(all, Release::Due, MILLISECOND, &mut Known::default());
        assert_eq!((out.len(), out[0].1.as_str()), (MAX_HELD, "process:unknown"));
        assert!(hold.takes(Certainty::Asked) && !hold.takes(Certainty::Later));
    }

    #[test]
    fn one_connection_is_handed_on_before_its_next_call() {
        let (mut hold, mut conns) = held(&[(1, "/a"), (2, "/x"), (1, "/b")]);
        let (mut known, mut out) = (Known(vec![ConnId(1)]), Vec::new());
        hold.release_conn(ConnId(1), MILLISECOND, &mut conns, &mut known, |call| {
            out.push(call.path.to_string());
        });
        assert_eq!((out, hold.len), (vec!["/a".to_owned(), "/b".to_owned()], 1));
        assert_eq!((conns.held(ConnId(1)).copied(), conns.held(ConnId(2)).copied()), (Some(0), Some(1)));
    }
}
