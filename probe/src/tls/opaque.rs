//! Connections that are not read, as the kernel counts their bytes: which of them are TLS that was read from inside after
//! all, and what is blind for the whole node.

use crate::source::live::address;
use crate::source::{Opaque, Sink};
use crate::tls::sessions::{Inside, Sessions, flow};
use apisec_abi::{FLAG_FIN, OpaqueBytes, VERDICT_TLS, VERDICT_TLS_HELLO};
use apisec_engine::coverage::{CoverageView, Shares};
use apisec_proto::segment::ConnId;
use foldhash::fast::RandomState;
use lru::LruCache;
use std::collections::BTreeMap;
use std::io::Read as _;

/// Connections whose bytes are remembered.
const MAX_CONNECTIONS: usize = 65_536;
/// A connection is given so long to be read from inside TLS before it counts as opaque, nanoseconds: not every one begins with
/// it (PostgreSQL, STARTTLS).
const PATIENCE: u64 = 2_000_000_000;
/// Connections that are told at once.
const BATCH: usize = 4096;
/// `/proc/net/unix` is read up to this.
const MAX_UNIX: u64 = 4 << 20;
/// `/proc/net/tls_stat` has some twenty lines.
const MAX_KTLS: u64 = 4096;

#[derive(Clone, Copy)]
struct Seen {
    record: OpaqueBytes,
    first_at: u64,
    told: u64,
    /// Something was told of it.
    known: bool,
}

/// See the module.
pub struct Unread {
    connections: LruCache<u64, Seen, RandomState>,
    /// Those of which there is something to tell.
    due: Vec<u64>,
}

impl Default for Unread {
    fn default() -> Self {
        Self { connections: LruCache::unbounded_with_hasher(RandomState::default()), due: Vec::new() }
    }
}

impl Unread {
    /// The kernel has counted.
    pub fn heard(&mut self, record: &OpaqueBytes) {
        let new = || Seen { record: *record, first_at: record.at, told: 0, known: false };
        self.connections.get_or_insert_mut(record.cookie, new).record = *record;
        self.due.push(record.cookie);
        if self.connections.len() > MAX_CONNECTIONS {
            self.connections.pop_lru();
        }
    }

    /// Tells what is ripe; `now` is monotonic nanoseconds, `u64::MAX` at the end. To be called about once a second.
    pub fn tell(&mut self, now: u64, offset: u64, sessions: &Sessions, sink: &mut dyn Sink) {
        let mut due = std::mem::take(&mut self.due);
        due.sort_unstable();
        due.dedup();
        let mut told = 0;
        for cookie in due {
            let Some(seen) = self.connections.peek_mut(&cookie) else { continue };
            let record = seen.record;
            let is_tls = matches!(record.verdict, VERDICT_TLS | VERDICT_TLS_HELLO);
            let over = record.flags & FLAG_FIN != 0;
            let ripe = over || now.saturating_sub(seen.first_at) > PATIENCE;
            if !ripe || told >= BATCH {
                self.due.push(cookie);
                continue;
            }
            let flow = flow(
                record.role,
                address(record.local_addr, record.local_port),
                address(record.remote_addr, record.remote_port),
            );
            let inside = sessions.inside(cookie);
            let opaque = Opaque {
                at: record.at.saturating_add(offset),
                protocol: match inside {
                    Inside::Foreign => "tls-other",
                    _ if is_tls => "tls",
                    _ => "other",
                },
                bytes: record.bytes.saturating_sub(seen.told),
                first: !seen.known,
            };
            seen.told = record.bytes;
            if inside != Inside::Read {
                told += 1;
                seen.known = true;
                sink.opaque(ConnId(cookie), &flow, &opaque);
            }
            if over {
                self.connections.pop(&cookie);
            }
        }
    }
}

/// What nobody reads, for the whole node.
#[must_use]
pub fn of_the_node(counters: &BTreeMap<String, u64>, lost: u64) -> Vec<CoverageView> {
    let row = |protocol: &str, reason: &str, connections, bytes, lost| CoverageView {
        name: "node".into(),
        protocol: protocol.into(),
        reason: reason.into(),
        connections: Shares { opaque: connections, ..Shares::default() },
        bytes: Shares { opaque: bytes, ..Shares::default() },
        lost,
        ..CoverageView::default()
    };
    let quic = counters.get("bytes_quic").copied().unwrap_or_default();
    let unix = unix_connections();
    let unix_bytes = counters.get("bytes_unix").copied().unwrap_or_default();
    let mut rows = Vec::new();
    if quic > 0 {
        rows.push(row("quic", "QUIC (HTTP/3) is not read", 0, quic, 0));
    }
    if unix > 0 || unix_bytes > 0 {
        let reason = if unix_bytes > 0 {
            "unix sockets, of whatever kind, are not read; their bytes are those sent since we began"
        } else {
            "unix sockets are not read; their bytes are not counted (a kernel before 6.3, or nothing was sent)"
        };
        rows.push(row("unix", reason, unix, unix_bytes, 0));
    }
    let in_kernel = kernel_tls(&kernel_table("/proc/net/tls_stat", MAX_KTLS));
    if in_kernel > 0 {
        let reason =
            "the kernel encrypts (kTLS): what is sent from files (SSL_sendfile) is counted and not read";
        rows.push(row("ktls", reason, in_kernel, 0, 0));
    }
    if lost > 0 {
        rows.push(row("tls", "plaintext whose connection did not become known in time", 0, 0, lost));
    }
    rows
}

/// Connected stream sockets of our network namespace, by pairs.
fn unix_connections() -> u64 {
    const STREAM: &str = "0001";
    const CONNECTED: &str = "03";
    let table = kernel_table("/proc/net/unix", MAX_UNIX);
    let connected = table.lines().skip(1).filter(|line| {
        let mut fields = line.split_ascii_whitespace().skip(4);
        fields.next() == Some(STREAM) && fields.next() == Some(CONNECTED)
    });
    connected.count() as u64 / 2
}

/// A table of the kernel, up to `most` bytes; one that cannot be read has no rows.
fn kernel_table(path: &str, most: u64) -> String {
    let mut table = String::new();
    let _none = std::fs::File::open(path).and_then(|file| file.take(most).read_to_string(&mut table));
    table
}

/// Connections that the kernel encrypts or decrypts now, by what it says of its own TLS; nearly all do both.
fn kernel_tls(table: &str) -> u64 {
    let count = |direction: &str| -> u64 {
        let counts = table.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let name = words.next()?.strip_prefix("TlsCurr")?;
            name.strip_prefix(direction)?;
            words.next()?.parse::<u64>().ok()
        });
        counts.fold(0, u64::saturating_add)
    };
    count("Tx").max(count("Rx"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_the_kernel_encrypts_are_counted_once() {
        let table = "TlsCurrTxSw                     \t3\nTlsCurrRxSw                     \t2\n\
            TlsCurrTxDevice                 \t1\nTlsCurrRxDevice                 \t0\nTlsTxSw    \t90\nodd\n";
        assert_eq!(kernel_tls(table), 4);
        assert_eq!(kernel_tls(""), 0);
    }
}
