//! What a request with its response costs, from segments to exchanges, and with the naming of the call.

use apisec_proto::call::{Party, Vantage, Workload, WorkloadKind};
use apisec_proto::decoder::Decoder;
use apisec_proto::decoder::limits::Limits;
use apisec_proto::exchange::Exchange;
use apisec_proto::namer::{Depth, Ends, Namer};
use apisec_proto::segment::{ConnId, Segment, Side};
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
    Party { number, workload: Arc::new(Workload::named("", "", WorkloadKind::Process)) }
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

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, len @ ..] = (payload.len() as u32).to_be_bytes();
    [&len[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn prefaced() -> Talk {
    let mut talk = Talk::new();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    talk.send(Side::Client, preface, preface.len(), &mut |_| {});
    talk
}

/// Nine fields, five of them literals with the Huffman code as nghttp2 writes them, and the answer: two header blocks.
#[divan::bench(sample_size = 1000)]
fn http2_pair(bencher: Bencher) {
    let host = [0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
    let mut asked = vec![0x82, 0x86];
    // `:path` and three more as literals that are not indexed, their values www.example.com, coded.
    for name in [4, 58, 19, 16] {
        let (long, short) = (name >= 15, name);
        if long {
            asked.extend([0x0f, name - 15]);
        } else {
            asked.push(short);
        }
        asked.extend_from_slice(&host[1..]);
    }
    asked.extend_from_slice(&host);
    let answered = [&[0x88, 0x0f, 0x10, 16][..], b"application/json", &[0x0f, 0x0d, 3], b"200"].concat();
    let mut talk = prefaced();
    let mut stream = 1;
    bencher.counter(ItemsCount::new(2u32)).bench_local(|| {
        let request = frame(1, 5, stream, &asked);
        let answer = [frame(1, 4, stream, &answered), frame(0, 1, stream, &[b'x'; 200])].concat();
        stream = (stream + 2) & 0x7fff_ffff;
        let mut seen = 0;
        talk.send(Side::Client, &request, request.len(), &mut |_| {});
        talk.send(Side::Server, &answer, answer.len(), &mut |exchange| {
            seen += black_box(exchange).request.target.len();
        });
        assert!(seen > 0);
    });
}

/// Frames of DATA of the usual size, 64 KiB at a time, as a large answer comes.
#[divan::bench(sample_size = 100)]
fn http2_data(bencher: Bencher) {
    let mut talk = prefaced();
    let request = frame(1, 5, 1, &[0x82, 0x86, 0x84]);
    let answer = frame(1, 4, 1, &[0x88]);
    talk.send(Side::Client, &request, request.len(), &mut |_| {});
    talk.send(Side::Server, &answer, answer.len(), &mut |_| {});
    let data = frame(0, 0, 1, &[b'x'; 16_375]).repeat(4);
    bencher.counter(divan::counter::BytesCount::new(data.len())).bench_local(|| {
        talk.send(Side::Server, &data, data.len(), &mut |_| {});
    });
}
