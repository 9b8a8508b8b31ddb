//! What a request with its response costs, from segments to exchanges, and with the naming of the call.

use apisec_proto::call::{Party, Vantage, Workload, WorkloadKind};
use apisec_proto::decoder::Decoder;
use apisec_proto::decoder::limits::Limits;
use apisec_proto::exchange::Exchange;
use apisec_proto::namer::{Depth, Ends, Namer};
use apisec_proto::segment::{ConnId, Segment, Side};
use compact_str::CompactString;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use std::sync::Arc;

const GET: &[u8] =
    b"GET /users/42/orders?page=2 HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: wrk/4.1\r\n\
    Authorization: Bearer 0123456789abcdef\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 22 Nov 2026 08:00:00 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 200\r\nLast-Modified: Sat, 22 Nov 2026 07:00:00 GMT\r\n\
    Connection: keep-alive\r\nAccept-Ranges: bytes\r\n\r\n";
const POST: &[u8] = b"POST /users/42/orders HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: wrk/4.1\r\n\
    Content-Type: application/json\r\nContent-Length: 4096\r\n\r\n";
/// Captured bytes of a body that was cut.
const CAPTURED: usize = 64;

fn main() {
    divan::main();
}

/// One connection that goes on for ever.
struct Talk {
    decoder: Decoder,
    next: [u32; 2],
    at: u64,
}

impl Talk {
    fn new() -> Self {
        Self { decoder: Decoder::new(Limits::default()), next: [0; 2], at: 0 }
    }

    fn send(&mut self, from: Side, bytes: &[u8], len: usize, out: &mut dyn FnMut(&Exchange<'_>)) {
        self.at += 1000;
        let [client, server] = &mut self.next;
        let next = if from == Side::Client { client } else { server };
        let seq = *next;
        *next = seq.wrapping_add(len as u32);
        let len = len as u32;
        let segment = Segment {
            conn: ConnId(1),
            at: self.at,
            from,
            syn_seen: true,
            seq,
            len,
            bytes,
            fin: false,
            rst: false,
        };
        self.decoder.segment(&segment, out);
    }
}

fn answer() -> Vec<u8> {
    [OK, &[b'x'; 200]].concat()
}

fn party(number: u32) -> Party {
    let empty = CompactString::default;
    Party {
        number,
        workload: Arc::new(Workload {
            id: empty(),
            name: empty(),
            kind: WorkloadKind::Process,
            pid: 0,
            exe: empty(),
            command: empty(),
            user: empty(),
            unit: empty(),
            container: empty(),
            runtime: empty(),
            pod_uid: empty(),
            netns: 0,
            address: empty(),
        }),
    }
}

/// A keep-alive GET and its 200.
#[divan::bench(sample_size = 1000)]
fn keep_alive_pair(bencher: Bencher) {
    let (mut talk, answer) = (Talk::new(), answer());
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        let mut seen = 0;
        talk.send(Side::Client, GET, GET.len(), &mut |_| {});
        talk.send(Side::Server, &answer, answer.len(), &mut |exchange| {
            seen += black_box(exchange).request.target.len();
        });
        assert!(seen > 0);
    });
}

/// The same, and the call is named.
#[divan::bench(sample_size = 1000)]
fn keep_alive_pair_named(bencher: Bencher) {
    let (mut talk, answer) = (Talk::new(), answer());
    let (src, dst) = (party(1), party(2));
    let addr = ([192, 0, 2, 1], 80).into();
    let ends = Ends { src: &src, dst: &dst, src_addr: addr, dst_addr: addr, vantage: Vantage::Server };
    let mut namer = Namer::new([1; 32]);
    let mut call = Namer::blank(ends);
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        talk.send(Side::Client, GET, GET.len(), &mut |_| {});
        talk.send(Side::Server, &answer, answer.len(), &mut |exchange| {
            namer.name(exchange, ends, Depth::Fields, &mut call);
        });
        black_box(&call);
    });
}

/// Sixteen requests in one segment, and their answers in another.
#[divan::bench(sample_size = 1000)]
fn pipelined_16(bencher: Bencher) {
    let mut talk = Talk::new();
    let (requests, answers) = (GET.repeat(16), answer().repeat(16));
    bencher.counter(ItemsCount::new(16u32)).bench_local(|| {
        let mut seen = 0;
        talk.send(Side::Client, &requests, requests.len(), &mut |_| {});
        talk.send(Side::Server, &answers, answers.len(), &mut |_| seen += 1);
        assert_eq!(seen, 16);
    });
}

/// A body of 4 KiB of which the source gave a few bytes.
#[divan::bench(sample_size = 1000)]
fn post_cut_body(bencher: Bencher) {
    let (mut talk, answer) = (Talk::new(), answer());
    let request = [POST, &[b'x'; CAPTURED]].concat();
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        let mut seen = 0;
        talk.send(Side::Client, &request, POST.len() + 4096, &mut |_| {});
        talk.send(Side::Server, &answer, answer.len(), &mut |_| seen += 1);
        assert_eq!(seen, 1);
    });
}
