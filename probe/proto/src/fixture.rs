//! Exchanges for the tests of the dialects.

use crate::call::{Call, Messages, Notes, Party, Vantage, Workload, WorkloadKind};
use crate::exchange::{Exchange, Fields, Request, Response, Sizes, Timing, Wire};
use crate::namer::{Depth, Ends, Namer};
use crate::segment::{ConnId, Side};
use std::sync::Arc;

/// Fields of a test.
pub(crate) struct List(pub(crate) Vec<(&'static str, String)>);

impl Fields for List {
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.iter().for_each(|(name, value)| each(name.as_bytes(), value.as_bytes()));
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.0.iter();
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
    }
}

/// An exchange that a test varies.
pub(crate) struct Spec {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) request_fields: Vec<(&'static str, String)>,
    pub(crate) request: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) response_fields: Vec<(&'static str, String)>,
    pub(crate) response: Vec<u8>,
    pub(crate) wire: Wire,
    pub(crate) notes: Notes,
}

pub(crate) fn exchange(
    method: &'static str,
    target: &str,
    request_type: &str,
    request: &str,
    status: u16,
    response_type: &str,
    response: &str,
) -> Spec {
    Spec {
        method,
        target: target.to_owned(),
        request_fields: vec![("Content-Type", request_type.to_owned())],
        request: request.into(),
        status,
        response_fields: vec![("Content-Type", response_type.to_owned())],
        response: response.into(),
        wire: Wire::Http1,
        notes: Notes::default(),
    }
}

/// What the namer makes of an exchange.
pub(crate) fn named(spec: &Spec) -> Call {
    named_at(spec, Depth::Fields)
}

pub(crate) fn named_at(spec: &Spec, depth: Depth) -> Call {
    let party = Party { number: 1, workload: Arc::new(workload()) };
    let addr = ([192, 0, 2, 1], 80).into();
    let ends = Ends { src: &party, dst: &party, src_addr: addr, dst_addr: addr, vantage: Vantage::Server };
    let (request_fields, response_fields) =
        (List(spec.request_fields.clone()), List(spec.response_fields.clone()));
    let sizes = |body: &[u8]| Sizes { head: 100, body: body.len() as u64, wire: 100 + body.len() as u64 };
    let exchange = Exchange {
        conn: ConnId(1),
        wire: spec.wire,
        requester: Side::Client,
        request: Request {
            method: spec.method.as_bytes(),
            target: spec.target.as_bytes(),
            minor_version: 1,
            fields: &request_fields,
            trailers: None,
            body: &spec.request,
            sizes: sizes(&spec.request),
        },
        response: Some(Response {
            status: spec.status,
            minor_version: 1,
            fields: &response_fields,
            trailers: None,
            body: &spec.response,
            sizes: sizes(&spec.response),
        }),
        timing: Timing::default(),
        messages: [Messages::default(); 2],
        notes: spec.notes,
    };
    let mut namer = Namer::new([7; 32]);
    let mut call = Namer::blank(ends);
    namer.name(&exchange, ends, depth, &mut call);
    call
}

fn workload() -> Workload {
    Workload::named("", "", WorkloadKind::Process)
}
