//! The desk: names exchanges, holds back those whose ends are not known yet, counts calls, and hands each to
//! whoever asked for it. Apart from the decoder, which drives it.

use super::Bounds;
use super::CallSink;
use super::conns::Conns;
use super::cost::{Cost, Stage};
use super::coverage::Coverage;
use super::details::Details;
use super::examination::Examination;
use super::governor::Shedding;
use super::half_read::HalfRead;
use super::hold::{Hold, Release};
use super::peephole::Peephole;
use super::samples::Samples;
use crate::flow::Flow;
use crate::identity::{Certainty, Identity};
use crate::record::Recorder;
use crate::source::Opaque;
use apisec_engine::observe::Observer;
use apisec_engine::rename::Rename;
use apisec_proto::call::{Call, Notes};
use apisec_proto::exchange::{Exchange, Wire};
use apisec_proto::namer::{Depth, Ends, Namer};
use apisec_proto::naming_source::NamingSources;
use apisec_proto::segment::{ConnId, Side};
use std::time::Duration;

/// How long the end waits for names that somebody is looking for: some rounds of this...
const LAST_WAIT: Duration = Duration::from_millis(50);
/// ...so many.
const LAST_WAITS: usize = 8;

/// See the module.
pub(super) struct Desk {
    namer: Namer,
    pub(super) identity: Box<dyn Identity>,
    pub(super) conns: Conns,
    pub(super) coverage: Coverage,
    pub(super) half_read: HalfRead,
    pub(super) hold: Hold,
    pub(super) observer: Observer,
    call: Option<Call>,
    on_call: Option<CallSink>,
    pub(super) recorder: Option<Recorder>,
    pub(super) cost: Cost,
    pub(super) shedding: Shedding,
    pub(super) details: Details,
    pub(super) samples: Samples,
    pub(super) examination: Examination,
    pub(super) peephole: Peephole,
    pub(super) calls: u64,
    pub(super) calls_in_delta: u64,
    pub(super) unnamed: u64,
    /// When the first segment or call happened, Unix nanoseconds; 0 before it.
    pub(super) began: u64,
    /// Connections that left HTTP: the source may stop sending them.
    pub(super) left: Vec<ConnId>,
    /// Connections that carry messages from now on: the source must send all of them.
    pub(super) streaming: Vec<ConnId>,
    /// Connections that went over from HTTP/1 to HTTP/2: the source may send them as that.
    pub(super) upgraded: Vec<ConnId>,
}

impl Desk {
    pub(super) fn new(
        bounds: &Bounds,
        key: [u8; 32],
        identity: Box<dyn Identity>,
        on_call: Option<CallSink>,
        recorder: Option<Recorder>,
        samples: Samples,
    ) -> Self {
        Self {
            namer: Namer::new(key),
            identity,
            conns: Conns::default(),
            coverage: Coverage::default(),
            half_read: HalfRead::default(),
            hold: Hold::default(),
            observer: Observer::new(bounds.engine),
            call: None,
            on_call,
            recorder,
            cost: Cost::default(),
            shedding: Shedding::Nothing,
            details: Details::default(),
            samples,
            examination: Examination::default(),
            peephole: Peephole::default(),
            calls: 0,
            calls_in_delta: 0,
            unnamed: 0,
            began: 0,
            left: Vec::new(),
            streaming: Vec::new(),
            upgraded: Vec::new(),
        }
    }

    /// What names the callers of which services.
    pub(super) fn name_by(&mut self, naming: NamingSources) {
        self.namer.name_by(naming);
    }

    /// Something happened at this time.
    pub(super) fn begin(&mut self, at: u64) {
        if self.began == 0 {
            self.began = at;
        }
    }

    /// A connection was not read.
    pub(super) fn opaque(&mut self, conn: ConnId, flow: &Flow, opaque: &Opaque) {
        let Self { conns, identity, coverage, .. } = self;
        conns.touch(conn, flow, opaque.at);
        if let Some((flow, parties)) = conns.parties(conn, Side::Client, opaque.at, identity.as_mut()) {
            coverage.opaque(flow, parties, opaque);
        }
    }

    /// Names an exchange and counts it.
    pub(super) fn exchange(&mut self, exchange: &Exchange<'_>) {
        self.cost.charge(Stage::Decode);
        let at = exchange.timing.closed;
        let named = self.conns.parties(exchange.conn, exchange.requester, at, self.identity.as_mut());
        let Some((flow, parties)) = named else {
            self.unnamed += 1;
            return;
        };
        let (flow, certainty) = (*flow, parties.certainty);
        let ends = Ends {
            src: &parties.src,
            dst: &parties.dst,
            src_addr: flow.client,
            dst_addr: flow.server,
            vantage: flow.vantage,
        };
        let failed = exchange.response.as_ref().is_none_or(|response| response.status >= 400);
        let depth = match self.shedding {
            Shedding::Nothing if self.samples.grants(exchange) || self.details.grant(failed, flow.server) => {
                Depth::Detail
            }
            Shedding::Nothing | Shedding::Bodies => Depth::Fields,
            Shedding::Fields | Shedding::Calls => Depth::Operation,
        };
        let mut call = self.call.take().unwrap_or_else(|| Namer::blank(ends));
        self.namer.look_for(self.peephole.wanted());
        self.namer.name(exchange, ends, depth, &mut call);
        if let Some(secret) = self.namer.revealed() {
            self.peephole.show(secret);
        }
        call.tls = self.conns.tls(exchange.conn);
        if call.tls.as_ref().is_some_and(|tls| tls.mutual == Some(true)) {
            call.notes.add(Notes::CLIENT_CERTIFICATE);
        }
        if depth == Depth::Detail {
            self.examination.offer(exchange, &call, &mut self.namer);
        }
        let first = self.conns.is_first(exchange.conn);
        self.coverage.read(&call, first);
        if call.notes.any(Notes::OPAQUE_FIELDS) {
            self.half_read.heard(exchange, &call, flow);
        }
        self.cost.charge(Stage::Name);
        if self.hold.takes(certainty) {
            let young = certainty == Certainty::Young;
            self.hold.push(call, (exchange.conn, exchange.requester), young, at);
            self.conns.held(exchange.conn).into_iter().for_each(|held| *held += 1);
        } else {
            if self.conns.held(exchange.conn).is_some_and(|held| *held > 0) {
                self.release_conn(exchange.conn, at);
            }
            self.hold.gave_up += u64::from(certainty > Certainty::Later);
            self.publish(&call, exchange.conn);
            if self.shedding == Shedding::Nothing {
                self.samples.heard(exchange, &call, self.observer.endpoint(), flow.server.port());
            }
            self.call = Some(call);
        }
        self.cost.charge(Stage::Observe);
        let begins = exchange.wire == Wire::Http1 && exchange.notes.any(Notes::STREAMING);
        let met_open = first && exchange.wire != Wire::Http2 && exchange.notes.any(Notes::OPAQUE_FIELDS);
        if begins || met_open {
            self.streaming.push(exchange.conn);
        } else if exchange.notes.any(Notes::UPGRADED) {
            let goes_on = exchange.wire == Wire::Http2;
            if goes_on { &mut self.upgraded } else { &mut self.left }.push(exchange.conn);
        }
    }

    /// Hands on the calls whose names are known by now, or that have waited long enough.
    pub(super) fn release_due(&mut self, now: u64) {
        self.follow_renames();
        if self.hold.is_due(now) {
            self.release(Release::Due, now);
        }
    }

    /// Nothing comes any more: waits for the names that are being looked up, but not for long.
    pub(super) fn release_all(&mut self, now: u64) {
        self.release(Release::Unasked, now);
        for _ in 0..LAST_WAITS {
            if self.hold.is_empty() || !self.identity.wait(LAST_WAIT) {
                break;
            }
            self.conns.ask_again();
            self.release(Release::Unasked, now);
        }
        self.release(Release::All, now);
        self.follow_renames();
    }

    fn release(&mut self, which: Release, now: u64) {
        let mut ready = Vec::new();
        let (conns, identity) = (&mut self.conns, self.identity.as_mut());
        self.hold.release(which, now, conns, identity, |call, conn| ready.push((call, conn)));
        self.publish_held(ready);
    }

    fn release_conn(&mut self, conn: ConnId, now: u64) {
        let mut ready = Vec::new();
        let (conns, identity) = (&mut self.conns, self.identity.as_mut());
        self.hold.release_conn(conn, now, conns, identity, |call| ready.push((call, conn)));
        self.publish_held(ready);
    }

    fn publish_held(&mut self, ready: Vec<(Call, ConnId)>) {
        for (call, conn) in ready {
            self.publish(&call, conn);
            self.call = Some(call);
        }
    }

    /// What was counted under an id that was refined follows it.
    fn follow_renames(&mut self) {
        let renames = self.identity.renames();
        if !renames.is_empty() {
            self.conns.ask_again();
        }
        renames.into_iter().for_each(|rename| self.rename(rename));
    }

    /// A workload turned out to be another.
    pub(super) fn rename(&mut self, rename: Rename) {
        if let Some(recorder) = &mut self.recorder {
            recorder.rename(&rename);
        }
        self.observer.rename(rename);
    }

    pub(super) fn publish(&mut self, call: &Call, conn: ConnId) {
        self.calls += 1;
        self.calls_in_delta += 1;
        self.observer.observe(call);
        if let Some(recorder) = &mut self.recorder {
            recorder.record(call);
        }
        if let Some(on_call) = &mut self.on_call {
            on_call(call, self.observer.endpoint(), conn);
        }
    }
}
