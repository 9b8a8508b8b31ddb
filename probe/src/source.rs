//! Where traffic comes from: the kernel, a recorded session, a capture file. After this trait they are
//! indistinguishable.

mod intake;
pub mod live;
mod open;
pub mod pcap;
mod sequence;
pub mod session;

pub use open::{open, open_bytes};
pub use sequence::open_all;

use crate::flow::Flow;
use apisec_abi::{Exec, Exit, Open};
use apisec_engine::coverage::CoverageView;
use apisec_engine::degradation::Degradation;
use apisec_engine::rename::Rename;
use apisec_proto::call::{Call, Tls};
use apisec_proto::segment::{ConnId, Segment};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a source hands on.
pub trait Sink {
    /// A run of TCP payload of a connection between the ends of `flow`.
    fn segment(&mut self, segment: &Segment<'_>, flow: &Flow);

    /// A connection was recognised and its ends described.
    fn opened(&mut self, open: &Open);

    /// What is known of the TLS session that a connection's payload was read from; after the first of it.
    fn secured(&mut self, _conn: ConnId, _tls: &Arc<Tls>) {}

    /// A connection that is not read has carried so much more.
    fn opaque(&mut self, _conn: ConnId, _flow: &Flow, _opaque: &Opaque) {}

    /// A process started.
    fn started(&mut self, exec: &Exec);

    /// A process ended.
    fn ended(&mut self, exit: &Exit);

    /// A call that was named when it was recorded.
    fn call(&mut self, call: &Call);

    /// A workload of recorded calls turned out to be another.
    fn renamed(&mut self, _rename: Rename) {}

    /// The connection is observed better elsewhere: forget it and what it has in flight.
    fn discard(&mut self, _conn: ConnId) {}
}

/// What a connection that is not read has carried since it was last told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opaque {
    /// When, Unix nanoseconds.
    pub at: u64,
    /// `tls`, or `other`.
    pub protocol: &'static str,
    /// Bytes, with IP headers.
    pub bytes: u64,
    /// It was not told of before.
    pub first: bool,
}

/// How the TLS of a process is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsUse {
    /// Library and version.
    pub library: String,
    /// `emulated`, `stepped`, or empty when it is not probed.
    pub attached: &'static str,
    /// Why its connections may be opaque all the same.
    pub reason: String,
}

/// What a poll achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Events were handed on; there may be more.
    Some,
    /// Nothing was there. A live source has waited a little before it says so.
    Idle,
    /// The source is exhausted (a file was read to its end).
    End,
}

/// Counters of a source, by name, since its start.
#[derive(Clone, Debug, Default)]
pub struct SourceStats {
    /// Records read.
    pub chunks: u64,
    /// Losses by reason, also those that are 0.
    pub losses: BTreeMap<String, u64>,
    /// Everything else worth showing.
    pub counters: BTreeMap<String, u64>,
}

/// A source of traffic. Dropping it detaches and removes everything that it put into the kernel.
pub trait Source: Send {
    /// `live`, `session shop.apisec`, `pcap dump.pcapng`.
    fn describe(&self) -> String;

    /// Hands on what is there, at most a few thousand events, waiting at most ~50 ms when nothing is.
    ///
    /// # Errors
    /// The source cannot go on; the text says whose fault it is and what to do.
    fn poll(&mut self, sink: &mut dyn Sink) -> Result<Progress, SourceError>;

    /// There will be no more polls: hands on what was kept back.
    fn finish(&mut self, _sink: &mut dyn Sink) {}

    /// The time of the source, Unix nanoseconds: the clock for a live one, the last record for a file.
    fn now(&self) -> u64;

    /// Counters since the start.
    fn stats(&mut self) -> SourceStats;

    /// What this source cannot see and why.
    fn degradations(&self) -> Vec<Degradation>;

    /// How the TLS of a process is read; `None` when it has no library that is known.
    fn tls_of(&self, _pid: u32) -> Option<TlsUse> {
        None
    }

    /// What is not read, for the whole node.
    fn blind(&mut self) -> Vec<CoverageView> {
        Vec::new()
    }

    /// The connection is not, or no longer, of a protocol that is read: stop sending it.
    fn dismiss(&mut self, _conn: ConnId) {}

    /// The connection carries messages that no turn of direction divides: send all of them.
    fn stream(&mut self, _conn: ConnId) {}

    /// So many bodies of whoever listens on the port are wanted whole.
    fn want(&mut self, _port: u16, _bodies: u32) {}

    /// The connection went over to HTTP/2: send it as that.
    fn follow_http2(&mut self, _conn: ConnId) {}
}

/// A source cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}{remedy}", if remedy.is_empty() { "" } else { "\n  " })]
pub struct SourceError {
    /// What happened and whose fault it is.
    pub what: String,
    /// What to do next.
    pub remedy: String,
}
