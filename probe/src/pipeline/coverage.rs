//! Adds up what was read and what was not, per workload and protocol.

use crate::flow::Flow;
use crate::identity::Parties;
use crate::source::{Opaque, TlsUse};
use apisec_engine::coverage::{CoverageView, Shares};
use apisec_engine::vocabulary;
use apisec_proto::call::{Call, Party, Tls, Vantage};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Rows that are kept apart; later ones are added up in one.
const MAX_ROWS: usize = 4096;
/// The number of the row of what has no room.
const OVERFLOW: u32 = u32::MAX;

/// See the module.
#[derive(Default)]
pub(super) struct Coverage {
    rows: HashMap<(u32, &'static str), Row, RandomState>,
}

#[derive(Default)]
struct Row {
    party: Option<Party>,
    connections: Shares,
    bytes: Shares,
    /// Connections read inside TLS of which the server's certificate is not known, by [`UNSHOWN`].
    unshown: [u64; 3],
}

/// Why a certificate is not known.
const UNSHOWN: [&str; 3] = [
    "open before us",
    "resumed, where none is shown",
    "TLS 1.3, which encrypts it, and no library that was asked for it in clear",
];

/// The place in [`UNSHOWN`]; `None` when the certificate is known.
fn unshown(tls: &Tls) -> Option<usize> {
    match (tls.subject.as_str(), tls.version.as_str(), tls.resumed) {
        ("", "", _) => Some(0),
        ("", _, true) => Some(1),
        ("", "1.3", false) => Some(2),
        // Up to TLS 1.2 it is in clear wherever it is shown.
        ("", ..) => Some(1),
        _ => None,
    }
}

impl Coverage {
    /// A call was read; `first` of its connection.
    pub(super) fn read(&mut self, call: &Call, first: bool) {
        let party = if call.vantage == Vantage::Server { &call.dst } else { &call.src };
        let row = self.row(party, vocabulary::protocol(call.protocol));
        let bytes = call.request_bytes.saturating_add(call.response_bytes);
        let (connections, sum) = if call.tls.is_some() {
            (&mut row.connections.decrypted, &mut row.bytes.decrypted)
        } else {
            (&mut row.connections.plaintext, &mut row.bytes.plaintext)
        };
        *connections += u64::from(first);
        let why = call.tls.as_deref().filter(|_| first).and_then(unshown);
        if let Some(count) = why.and_then(|why| row.unshown.get_mut(why)) {
            *count += 1;
        }
        *sum = sum.saturating_add(bytes);
    }

    /// A connection was not read.
    pub(super) fn opaque(&mut self, flow: &Flow, parties: &Parties, opaque: &Opaque) {
        let party = if flow.vantage == Vantage::Server { &parties.dst } else { &parties.src };
        let row = self.row(party, opaque.protocol);
        row.connections.opaque += u64::from(opaque.first);
        row.bytes.opaque = row.bytes.opaque.saturating_add(opaque.bytes);
    }

    fn row(&mut self, party: &Party, protocol: &'static str) -> &mut Row {
        let key = (party.number, protocol);
        let fits = self.rows.len() < MAX_ROWS || self.rows.contains_key(&key);
        let row = self.rows.entry(if fits { key } else { (OVERFLOW, "") }).or_default();
        if fits && row.party.is_none() {
            row.party = Some(party.clone());
        }
        row
    }

    /// The rows, by workload and protocol; `tls_of` tells how the TLS of a process is probed.
    pub(super) fn view(&self, tls_of: impl Fn(u32) -> Option<TlsUse>) -> Vec<CoverageView> {
        let mut rows: Vec<_> =
            self.rows.iter().map(|((_, protocol), row)| row.view(protocol, &tls_of)).collect();
        rows.sort_by(|a, b| (&a.workload, &a.protocol).cmp(&(&b.workload, &b.protocol)));
        rows
    }
}

impl Row {
    fn view(&self, protocol: &str, tls_of: impl Fn(u32) -> Option<TlsUse>) -> CoverageView {
        let workload = self.party.as_ref().map(|party| &party.workload);
        let tls = workload.and_then(|workload| tls_of(workload.pid));
        let reason = match (self.bytes.opaque + self.connections.opaque, protocol, &tls) {
            (0, ..) => String::new(),
            (_, "tls", Some(tls)) => tls.reason.clone(),
            (_, "tls", None) => NO_LIBRARY.to_owned(),
            (_, "tls-other", _) => NOT_HTTP_INSIDE.to_owned(),
            _ => NOT_HTTP.to_owned(),
        };
        let tls = tls.unwrap_or_default();
        CoverageView {
            workload: workload.map_or_else(|| "{overflow}".to_owned(), |workload| workload.id.to_string()),
            name: workload.map(|workload| workload.name.to_string()).unwrap_or_default(),
            protocol: protocol.to_owned(),
            library: tls.library,
            attached: tls.attached.to_owned(),
            connections: self.connections,
            bytes: self.bytes,
            reason,
            certificates: self.certificates(),
            lost: 0,
        }
    }
}

impl Row {
    fn certificates(&self) -> String {
        let why = self.unshown.iter().zip(UNSHOWN).filter(|(count, _)| **count > 0);
        why.map(|(count, why)| format!("{count} {why}")).collect::<Vec<_>>().join("; ")
    }
}

const NO_LIBRARY: &str =
    "no TLS library that is known: its program is stripped, or has its own TLS without symbols, or has ended";
const NOT_HTTP_INSIDE: &str = "read inside TLS, and not HTTP: the protocol of a database or the like";
const NOT_HTTP: &str = "neither HTTP nor TLS by its first bytes";
