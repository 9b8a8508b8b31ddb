//! Which bodies are wanted whole: some per endpoint and minute, of those that the ordinary budgets cut.
//!
//! A call whose body was cut asks for the next one of its server; what comes whole then counts for its endpoint. Other endpoints
//! of the same server may be given what was meant for this one: then it is asked for again.

use apisec_proto::call::Call;
use apisec_proto::decoder::limits::Limits;
use apisec_proto::exchange::Exchange;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::hash::BuildHasher as _;

const MINUTE: u64 = 60_000_000_000;
/// Endpoints that are told apart within a minute; later ones wait for the next.
const MAX_ENDPOINTS: usize = 16_384;
/// Bodies that are asked for at once: the two of one call.
const AT_ONCE: u32 = 2;
/// Servers that are asked at once.
const MAX_WISHES: usize = 256;

/// See the module.
pub(super) struct Samples {
    per_minute: u32,
    /// Bytes of a body that are kept without a wish.
    ordinary: usize,
    minute: u64,
    taken: HashMap<u64, u32, RandomState>,
    hasher: RandomState,
    wishes: Vec<u16>,
    /// Bodies beyond the ordinary that were read whole, since the start.
    pub(super) read: u64,
}

impl Samples {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            ordinary: Limits::default().body_prefix,
            minute: 0,
            taken: HashMap::default(),
            hasher: RandomState::default(),
            wishes: Vec::new(),
            read: 0,
        }
    }

    /// Whether the bodies of an exchange must be looked at, because they were asked for.
    pub(super) fn grants(&self, exchange: &Exchange<'_>) -> bool {
        self.per_minute > 0 && bodies(exchange).any(|(body, _)| body.len() > self.ordinary)
    }

    /// A call was counted for `endpoint`.
    pub(super) fn heard(&mut self, exchange: &Exchange<'_>, call: &Call, endpoint: &str, port: u16) {
        if self.per_minute == 0 {
            return;
        }
        let whole =
            bodies(exchange).filter(|(body, size)| body.len() > self.ordinary && body.len() as u64 >= *size);
        let (whole, cut) =
            (whole.count() as u32, bodies(exchange).any(|(body, size)| (body.len() as u64) < size));
        if whole == 0 && !cut {
            return;
        }
        if call.at / MINUTE != self.minute {
            self.minute = call.at / MINUTE;
            self.taken.clear();
        }
        self.read += u64::from(whole);
        let key = self.hasher.hash_one((&call.dst.workload.id, &call.method, &call.operation, endpoint));
        if self.taken.len() >= MAX_ENDPOINTS && !self.taken.contains_key(&key) {
            return;
        }
        let taken = self.taken.entry(key).or_default();
        *taken = taken.saturating_add(whole);
        if cut
            && self.taken.get(&key).is_some_and(|taken| *taken < self.per_minute)
            && self.wishes.len() < MAX_WISHES
            && !self.wishes.contains(&port)
        {
            self.wishes.push(port);
        }
    }

    /// Ports whose servers' bodies are wanted, and how many, since this was last asked.
    pub(super) fn wishes(&mut self) -> impl Iterator<Item = (u16, u32)> + '_ {
        self.wishes.drain(..).map(|port| (port, AT_ONCE))
    }
}

/// What was captured of each body, and its whole size.
fn bodies<'a>(exchange: &'a Exchange<'_>) -> impl Iterator<Item = (&'a [u8], u64)> {
    let response = exchange.response.as_ref().map(|response| (response.body, response.sizes.body));
    std::iter::once((exchange.request.body, exchange.request.sizes.body)).chain(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Flow;
    use crate::identity::{AddressIdentity, Hosts, Identity as _};
    use apisec_proto::call::Vantage;
    use apisec_proto::decoder::Decoder;
    use apisec_proto::namer::{Ends, Namer};
    use apisec_proto::segment::{ConnId, Segment, Side};

    /// What is asked for when an answer of `size` bytes came, `captured` of them, `times` over at `at`.
    fn wishes(samples: &mut Samples, at: u64, size: u32, captured: usize) -> Vec<(u16, u32)> {
        let flow = Flow {
            client: "10.0.0.1:40000".parse().unwrap(),
            server: "10.0.0.2:8080".parse().unwrap(),
            vantage: Vantage::Server,
        };
        let parties = AddressIdentity::new(Hosts::default()).parties(ConnId(1), &flow);
        let ends = Ends {
            src: &parties.src,
            dst: &parties.dst,
            src_addr: flow.client,
            dst_addr: flow.server,
            vantage: flow.vantage,
        };
        let mut call = Namer::blank(ends);
        let request = b"GET /items HTTP/1.1\r\nHost: a\r\n\r\n".as_slice();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        let answer = [head.as_bytes(), &vec![b'x'; captured]].concat();
        let mut decoder = Decoder::new(Limits { body_prefix: 1 << 16, ..Limits::default() });
        let whole = head.len() as u32 + size;
        for (from, bytes, len) in
            [(Side::Client, request, request.len() as u32), (Side::Server, &answer, whole)]
        {
            let segment = Segment {
                conn: ConnId(1),
                at,
                from,
                syn_seen: true,
                seq: 1,
                len,
                bytes,
                fin: false,
                rst: false,
            };
            decoder.segment(&segment, &mut |exchange| {
                call.at = at;
                samples.heard(exchange, &call, "/items", 8080);
            });
        }
        samples.wishes().collect()
    }

    #[test]
    fn a_cut_body_is_wished_for_until_there_are_enough_this_minute() {
        let mut samples = Samples::new(2);
        assert_eq!(wishes(&mut samples, 1, 30_000, 3000), [(8080, AT_ONCE)]);
        assert_eq!(wishes(&mut samples, 2, 30_000, 30_000), []);
        assert_eq!(wishes(&mut samples, 3, 30_000, 3000), [(8080, AT_ONCE)]);
        assert_eq!(wishes(&mut samples, 4, 30_000, 30_000), []);
        assert_eq!(wishes(&mut samples, 5, 30_000, 3000), []);
        assert_eq!(samples.read, 2);
        assert_eq!(wishes(&mut samples, MINUTE + 5, 30_000, 3000), [(8080, AT_ONCE)]);
    }

    #[test]
    fn nothing_is_wished_for_that_is_whole_or_that_nobody_wants() {
        assert_eq!(wishes(&mut Samples::new(2), 1, 300, 300), []);
        assert_eq!(wishes(&mut Samples::new(0), 1, 30_000, 3000), []);
    }
}
