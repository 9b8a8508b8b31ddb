//! Counts allocations: none in the steady state, and few bytes for an idle connection.

#![expect(unsafe_code, reason = "a global allocator that counts cannot be written without")]

use apisec_proto::call::{Party, Vantage, Workload, WorkloadKind};
use apisec_proto::decoder::Decoder;
use apisec_proto::decoder::limits::Limits;
use apisec_proto::namer::{Depth, Ends, Namer};
use apisec_proto::segment::{ConnId, Segment, Side};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: forwards to the system's allocator; the counters are plain cells without destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        BYTES.set(BYTES.get().wrapping_add(layout.size()));
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get().wrapping_sub(layout.size()));
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const GET: &[u8] =
    b"GET /organisations/42/orders/2026-01-01/items?page=2&size=10 HTTP/1.1\r\nHost: shop.example:8080\r\n\
    Authorization: Bearer 0123456789abcdef\r\nCookie: sid=0123456789abcdef\r\n\
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
const POST: &[u8] =
    b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n";
const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2000\r\n\r\n{}";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

/// Sends on one connection, with `more` bytes that are not captured.
fn send(decoder: &mut Decoder, conn: u64, from: Side, seq: &mut u32, bytes: &[u8], more: u32) -> Segmented {
    let len = bytes.len() as u32 + more;
    let segment = Segment {
        conn: ConnId(conn),
        at: 1,
        from,
        syn_seen: true,
        seq: *seq,
        len,
        bytes,
        fin: false,
        rst: false,
    };
    *seq = seq.wrapping_add(len);
    let mut seen = 0;
    decoder.segment(&segment, &mut |_| seen += 1);
    Segmented { seen }
}

struct Segmented {
    seen: usize,
}

fn party(number: u32) -> Party {
    let workload = Workload::named("", "", WorkloadKind::Process);
    Party { number, workload: Arc::new(workload) }
}

#[test]
fn the_steady_state_allocates_nothing() {
    let (src, dst) = (party(1), party(2));
    let addr = ([192, 0, 2, 1], 80).into();
    let ends = Ends { src: &src, dst: &dst, src_addr: addr, dst_addr: addr, vantage: Vantage::Server };
    let mut namer = Namer::new([1; 32]);
    let mut call = Namer::blank(ends);
    let mut decoder = Decoder::new(Limits::default());
    let mut seq = [0u32; 2];
    let mut named = 0;
    let mut round = |named: &mut usize| {
        for (from, bytes, more) in [
            (Side::Client, GET, 0),
            (Side::Server, OK, 1998),
            (Side::Client, POST, 900),
            (Side::Server, CHUNKED, 0),
        ] {
            let [client, server] = &mut seq;
            let seq = if from == Side::Client { client } else { server };
            let len = bytes.len() as u32 + more;
            let segment = Segment {
                conn: ConnId(1),
                at: 1,
                from,
                syn_seen: true,
                seq: *seq,
                len,
                bytes,
                fin: false,
                rst: false,
            };
            *seq = seq.wrapping_add(len);
            decoder.segment(&segment, &mut |exchange| {
                namer.name(exchange, ends, Depth::Fields, &mut call);
                *named += 1;
            });
        }
    };
    (0..10).for_each(|_| round(&mut named));
    let before = COUNT.get();
    (0..1000).for_each(|_| round(&mut named));
    assert_eq!(COUNT.get() - before, 0);
    assert_eq!(named, 2020);
}

/// GraphQL, whose body is read for every call.
#[test]
fn naming_graphql_allocates_nothing() {
    let query = r#"{"query":"query A($n: Int) {\n users(first: $n) { id name } orders { id } }","variables":{"n":3}}"#;
    let ask = format!(
        "POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{query}",
        query.len()
    );
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 35\r\n\r\n\
        {\"data\":{\"users\":[],\"orders\":null}}";
    let (src, dst) = (party(1), party(2));
    let addr = ([192, 0, 2, 1], 80).into();
    let ends = Ends { src: &src, dst: &dst, src_addr: addr, dst_addr: addr, vantage: Vantage::Server };
    let (mut namer, mut call) = (Namer::new([1; 32]), Namer::blank(ends));
    let mut decoder = Decoder::new(Limits::default());
    let mut seq = [0u32; 2];
    let mut round = || {
        let [client, server] = &mut seq;
        for (from, bytes, seq) in
            [(Side::Client, ask.as_bytes(), client), (Side::Server, &answer[..], server)]
        {
            let len = bytes.len() as u32;
            let segment = Segment {
                conn: ConnId(1),
                at: 1,
                from,
                syn_seen: true,
                seq: *seq,
                len,
                bytes,
                fin: false,
                rst: false,
            };
            *seq = seq.wrapping_add(len);
            decoder.segment(&segment, &mut |exchange| namer.name(exchange, ends, Depth::Fields, &mut call));
        }
    };
    (0..10).for_each(|_| round());
    let before = COUNT.get();
    (0..1000).for_each(|_| round());
    assert_eq!(COUNT.get() - before, 0);
    assert_eq!((&*call.method, &*call.operation), ("QUERY", "orders,users"));
}

#[test]
fn an_idle_connection_is_small() {
    const CONNECTIONS: u64 = 50_000;
    let before = BYTES.get();
    let mut decoder = Decoder::new(Limits::default());
    for conn in 0..CONNECTIONS {
        let (mut asked, mut answered) = (7, 9);
        assert_eq!(send(&mut decoder, conn, Side::Client, &mut asked, GET, 0).seen, 0);
        assert_eq!(send(&mut decoder, conn, Side::Server, &mut answered, OK, 1998).seen, 1);
    }
    decoder.sweep(2, &mut |_| {});
    assert_eq!(decoder.connections() as u64, CONNECTIONS);
    let each = BYTES.get().wrapping_sub(before) as u64 / CONNECTIONS;
    println!("{each} bytes for an idle connection");
    assert!(each < 512, "{each} bytes for an idle connection");
}
