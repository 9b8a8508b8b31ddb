//! What time does: waits that end, silence, idleness, and the bounds on connections.

use super::*;

const SECOND: u64 = 1_000_000_000;
const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A decoder with the places of its connections, and what it reported.
struct Bench {
    decoder: Decoder,
    next: std::collections::HashMap<(u64, Side), u32>,
    seen: Vec<(String, u64)>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self { decoder: Decoder::new(limits), next: Default::default(), seen: Vec::new() }
    }

    fn send(&mut self, conn: u64, at: u64, from: Side, bytes: &[u8], len: usize) {
        let seq = self.next.entry((conn, from)).or_insert(100);
        let segment = Segment {
            conn: ConnId(conn),
            at,
            from,
            syn_seen: true,
            seq: *seq,
            len: len as u32,
            bytes,
            fin: false,
            rst: false,
        };
        *seq += len as u32;
        self.decoder.segment(&segment, &mut note(&mut self.seen));
    }

    fn sweep(&mut self, at: u64) {
        self.decoder.sweep(at, &mut note(&mut self.seen));
    }

    fn seen(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.seen)
    }
}

fn note(seen: &mut Vec<(String, u64)>) -> impl FnMut(&Exchange<'_>) {
    |exchange| {
        let end =
            if exchange.response.is_some() { exchange.timing.response_end } else { exchange.timing.closed };
        seen.push((describe(exchange, Notes::default()), end - exchange.timing.request_start));
    }
}

#[test]
fn an_unanswered_request_is_reported_after_a_bound_and_its_late_answer_is_not() {
    let mut bench = Bench::new(Limits { longest_exchange: 30 * SECOND, ..Limits::default() });
    bench.send(1, SECOND, Side::Client, GET, GET.len());
    bench.sweep(20 * SECOND);
    assert_eq!(bench.seen(), []);
    bench.sweep(32 * SECOND);
    bench.sweep(33 * SECOND);
    assert_eq!(bench.seen(), [("GET /a 28+0 -> -".to_owned(), 31 * SECOND)]);
    bench.send(1, 40 * SECOND, Side::Server, OK, OK.len());
    bench.send(1, 41 * SECOND, Side::Client, GET, GET.len());
    bench.send(1, 42 * SECOND, Side::Server, OK, OK.len());
    assert_eq!(bench.seen(), [("GET /a 28+0 -> 200 38+0".to_owned(), SECOND)]);
    assert_eq!(bench.decoder.stats().late_responses, 1);
}

#[test]
fn an_endless_response_is_reported_once_as_cut() {
    let mut bench = Bench::new(Limits { longest_exchange: 30 * SECOND, ..Limits::default() });
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/jsonl\r\n\r\ndata: 1\n\n";
    bench.send(1, SECOND, Side::Client, GET, GET.len());
    bench.send(1, 2 * SECOND, Side::Server, head, head.len());
    bench.sweep(40 * SECOND);
    bench.send(1, 41 * SECOND, Side::Server, b"data: 2\n\n", 9);
    bench.sweep(90 * SECOND);
    assert_eq!(bench.seen(), [("GET /a 28+0 -> 200 61+9 response-cut until-close".to_owned(), SECOND)]);
}

#[test]
fn a_stream_of_events_is_reported_with_its_head_and_then_event_by_event() {
    let mut bench = Bench::new(Limits { longest_exchange: 30 * SECOND, ..Limits::default() });
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    bench.send(1, SECOND, Side::Client, GET, GET.len());
    bench.send(1, 2 * SECOND, Side::Server, head, head.len());
    assert_eq!(bench.seen(), [("GET /a 28+0 -> 200 52+0 until-close streaming".to_owned(), SECOND)]);
    bench.send(1, 3 * SECOND, Side::Server, b"data: 1\n\ndata", 13);
    bench.sweep(40 * SECOND);
    bench.send(1, 41 * SECOND, Side::Server, b": 2\n\n: ping\n\n", 13);
    let event = || ("RECEIVE /a 0+0 -> 0 8+8 one-way".to_owned(), 0);
    assert_eq!(bench.seen(), [event(), event()]);
    assert_eq!(bench.decoder.stats().late_responses, 0);
}

#[test]
fn silence_ends_a_message_whose_end_cannot_be_seen() {
    let mut bench = Bench::new(Limits::default());
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    bench.send(1, SECOND, Side::Client, GET, GET.len());
    bench.send(1, 2 * SECOND, Side::Server, head, head.len() + 5000);
    bench.sweep(3 * SECOND);
    assert_eq!(bench.seen(), []);
    bench.sweep(5 * SECOND);
    assert_eq!(bench.seen(), [("GET /a 28+0 -> 200 5057+5005".to_owned(), SECOND)]);
    bench.send(1, 6 * SECOND, Side::Client, GET, GET.len());
    bench.send(1, 7 * SECOND, Side::Server, OK, OK.len());
    assert_eq!(bench.seen(), [("GET /a 28+0 -> 200 38+0".to_owned(), SECOND)]);
}

#[test]
fn a_hole_is_given_up_by_time_alone() {
    let mut bench = Bench::new(Limits::default());
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    bench.send(1, SECOND, Side::Client, GET, GET.len());
    bench.send(1, SECOND, Side::Server, head, head.len());
    *bench.next.get_mut(&(1, Side::Server)).unwrap() += 5;
    bench.send(1, SECOND, Side::Server, b"world", 5);
    assert!(bench.decoder.buffered() > 0);
    bench.sweep(2 * SECOND);
    assert_eq!(bench.seen(), [("GET /a 28+0 -> 200 49+10 gap".to_owned(), 0)]);
    assert_eq!(bench.decoder.stats().lost_bytes, 5);
}

#[test]
fn idle_connections_are_forgotten_and_crowded_ones_evicted() {
    let mut bench = Bench::new(Limits { connections: 3, idle: 60 * SECOND, ..Limits::default() });
    for conn in 0..3 {
        bench.send(conn, SECOND, Side::Client, GET, GET.len());
    }
    bench.send(0, 2 * SECOND, Side::Server, OK, OK.len());
    bench.send(3, 3 * SECOND, Side::Client, GET, GET.len());
    let evicted = ("GET /a 28+0 -> -".to_owned(), 2 * SECOND);
    assert_eq!(bench.seen(), [("GET /a 28+0 -> 200 38+0".to_owned(), SECOND), evicted]);
    assert_eq!((bench.decoder.connections(), bench.decoder.stats().evicted), (3, 1));
    bench.send(2, 4 * SECOND, Side::Server, OK, OK.len());
    bench.send(3, 4 * SECOND, Side::Server, OK, OK.len());
    bench.sweep(100 * SECOND);
    assert_eq!(bench.decoder.connections(), 0);
}

#[test]
fn a_closed_connection_is_not_opened_by_a_late_retransmission() {
    let mut bench = Bench::new(Limits::default());
    bench.send(1, SECOND, Side::Client, GET, GET.len());
    bench.send(1, SECOND, Side::Server, OK, OK.len());
    bench.decoder.close(ConnId(1), SECOND, &mut note(&mut bench.seen));
    bench.next.clear();
    bench.send(1, 2 * SECOND, Side::Client, GET, GET.len());
    bench.decoder.finish(3 * SECOND, &mut note(&mut bench.seen));
    assert_eq!(bench.seen().len(), 1);
    assert_eq!(bench.decoder.stats().connections, 1);
    bench.sweep(60 * SECOND);
    assert_eq!(bench.decoder.connections(), 0);
}

#[test]
fn a_pipeline_that_is_too_deep_is_given_up() {
    let mut bench = Bench::new(Limits::default());
    let many = GET.repeat(2000);
    bench.send(1, SECOND, Side::Client, &many, many.len());
    assert_eq!(bench.seen().len(), 1024);
    assert_eq!(bench.decoder.stats().pipelines_too_deep, 1);
}
