//! A request of any shape is named within the bounds of a call, in printable text.
//!
//! Input: a request, 0xff, a response.

use apisec_proto::call::{Call, Party, Vantage, Workload, WorkloadKind};
use apisec_proto::decoder::Decoder;
use apisec_proto::decoder::limits::Limits;
use apisec_proto::exchange::Exchange;
use apisec_proto::namer::{Depth, Ends, Namer};
use apisec_proto::segment::{ConnId, Segment, Side};
use std::sync::Arc;

/// Runs the body.
pub fn run(data: &[u8]) {
    each(data, &mut |_| {});
}

/// The same; what is named is told.
pub fn each(data: &[u8], told: &mut dyn FnMut(&Call)) {
    let party = Party { number: 1, workload: Arc::new(workload()) };
    let addr = ([192, 0, 2, 1], 80).into();
    let ends = Ends { src: &party, dst: &party, src_addr: addr, dst_addr: addr, vantage: Vantage::Server };
    let mut namer = Namer::new([7; 32]);
    let mut call = Namer::blank(ends);
    let mut decoder = Decoder::new(Limits::default());
    let mut note = |exchange: &Exchange<'_>| {
        namer.name(exchange, ends, Depth::Detail, &mut call);
        check(&call);
        told(&call);
    };
    let mut said = data.split(|byte| *byte == 0xff);
    for from in [Side::Client, Side::Server] {
        let bytes = said.next().unwrap_or_default();
        let len = bytes.len() as u32;
        let segment = Segment {
            conn: ConnId(1),
            at: 1,
            from,
            syn_seen: true,
            seq: 0,
            len,
            bytes,
            fin: false,
            rst: false,
        };
        decoder.segment(&segment, &mut note);
    }
    decoder.finish(2, &mut note);
}

fn check(call: &Call) {
    let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    assert!(call.path.len() <= 512 && printable(&call.path), "{}", call.path);
    assert!(call.method.len() <= 24 && printable(&call.method));
    assert!(call.operation.len() <= 128 && printable(&call.operation), "{}", call.operation);
    for body in call.bodies.iter().flat_map(|bodies| [&bodies.request, &bodies.response]).flatten() {
        assert!(body.shape.places().iter().all(|place| place.path.len() <= 256 && printable(&place.path)));
        assert!(body.shape.places().len() <= 256 && body.read <= 128 * 1024);
    }
    assert!(call.host.len() <= 260 && printable(&call.host));
    assert!(call.query.len() <= 16 && call.query.iter().all(|name| name.len() <= 64 && printable(name)));
    let detail = call.detail.as_ref().expect("was asked for");
    for field in detail.request_fields.iter().chain(&detail.response_fields) {
        assert!(
            field.name.len() <= 64
                && field.value.len() <= 256
                && printable(&field.value)
                && printable(&field.name)
        );
    }
}

fn workload() -> Workload {
    Workload::named("", "", WorkloadKind::Process)
}
