//! Connections of HTTP/2 and WebSockets that were open before us, and of which something is therefore not known.

use crate::flow::Flow;
use apisec_engine::coverage::HalfReadView;
use apisec_proto::call::{Call, Vantage};
use apisec_proto::exchange::{Exchange, Wire};
use apisec_proto::segment::ConnId;
use compact_str::CompactString;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Connections that are told apart: an operator closes them one by one, and nobody closes more.
const MAX_CONNECTIONS: usize = 256;

/// See the module.
#[derive(Default)]
pub(super) struct HalfRead {
    connections: HashMap<ConnId, Connection, RandomState>,
    /// Calls of connections that have no room.
    pub(super) beyond: u64,
}

struct Connection {
    src: CompactString,
    dst: CompactString,
    flow: Flow,
    calls: u64,
    last: u64,
}

impl HalfRead {
    /// A call of which some field is not known.
    pub(super) fn heard(&mut self, exchange: &Exchange<'_>, call: &Call, flow: Flow) {
        if !matches!(exchange.wire, Wire::Http2 | Wire::Websocket(_)) {
            return;
        }
        let full = self.connections.len() >= MAX_CONNECTIONS;
        if full && !self.connections.contains_key(&exchange.conn) {
            self.beyond += 1;
            return;
        }
        let known = self.connections.entry(exchange.conn).or_insert_with(|| Connection {
            src: CompactString::default(),
            dst: CompactString::default(),
            flow,
            calls: 0,
            last: 0,
        });
        known.calls += 1;
        known.last = call.at;
        // Names are refined while the connection lives.
        if known.src != call.src.workload.id || known.dst != call.dst.workload.id {
            known.src.clone_from(&call.src.workload.id);
            known.dst.clone_from(&call.dst.workload.id);
        }
    }

    /// The connection is over.
    pub(super) fn forget(&mut self, conn: ConnId) {
        if !self.connections.is_empty() {
            self.connections.remove(&conn);
        }
    }

    /// Those that are open, most calls first.
    pub(super) fn view(&self) -> Vec<HalfReadView> {
        let view = |(conn, known): (&ConnId, &Connection)| HalfReadView {
            connection: conn.0,
            src: known.src.to_string(),
            dst: known.dst.to_string(),
            client: known.flow.client.to_string(),
            server: known.flow.server.to_string(),
            at_server: known.flow.vantage == Vantage::Server,
            calls: known.calls,
            last_seen: known.last,
        };
        let mut all: Vec<_> = self.connections.iter().map(view).collect();
        all.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.connection.cmp(&b.connection)));
        all
    }
}
