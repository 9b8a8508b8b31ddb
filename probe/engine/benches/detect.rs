//! What detection costs per call: a node that observes with all detectors, beside one that observes with none. The calls are of a
//! shop: most bear a token, name objects, and every tenth has its bodies read.

#![allow(clippy::indexing_slicing, reason = "a benchmark on its own data")]

use apisec_engine::case::Settings;
use apisec_engine::detect::DETECTORS;
use apisec_engine::limits::Limits;
use apisec_engine::observe::Observer;
use apisec_proto::body::{Body, Format};
use apisec_proto::call::{
    AuthScheme, Call, Credential, IdentityHash, Notes, Objects, Party, Protocol, Vantage, Workload,
    WorkloadKind,
};
use apisec_proto::sensitive::Sensitive;
use divan::Bencher;
use std::net::SocketAddr;
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
/// Customers, each with a token of their own.
const CUSTOMERS: usize = 200;

fn main() {
    divan::main();
}

fn party(number: u32, name: &str) -> Party {
    let workload = Workload::named(&format!("process:{name}:8080"), name, WorkloadKind::Process);
    Party { number, workload: Arc::new(workload) }
}

fn body() -> Body {
    let mut body = Body { format: Format::Json, whole: true, ..Body::default() };
    for path in [".id", ".name", ".email", ".lines[].sku", ".lines[].price"] {
        body.shape.add(path, |place| (place.count, place.longest) = (1, 12));
    }
    body.sensitive.add(Sensitive::Email);
    body
}

/// A day at the shop.
fn calls() -> Vec<Call> {
    let (gateway, shop) = (party(1, "gateway"), party(2, "shop"));
    let tokens: Vec<Arc<Credential>> = (0..CUSTOMERS as u64)
        .map(|number| {
            let claims = [("sub".into(), number)].into_iter().collect();
            Arc::new(Credential {
                token: number + 1,
                source: "authorization".into(),
                claims,
                ..Credential::default()
            })
        })
        .collect();
    let address = |last: u8| SocketAddr::from(([10, 0, 0, last], 8080));
    (0..20_000)
        .map(|number| {
            let customer = number * 7 % CUSTOMERS;
            let (method, path) = match number % 8 {
                0 => ("GET", "/products".to_owned()),
                1 => ("POST", format!("/carts/{customer}/lines")),
                2 => ("GET", format!("/orders/{}", customer * 10 + number % 5)),
                _ => ("GET", format!("/products/{}", number % 500)),
            };
            let knows = number % 4 != 0;
            let mut objects = Objects::default();
            objects.asked.push(number as u64 % 500);
            Call {
                at: SECOND,
                src: gateway.clone(),
                dst: shop.clone(),
                src_addr: address(1),
                dst_addr: address(2),
                vantage: Vantage::Server,
                protocol: Protocol::Http1,
                method: method.into(),
                operation: Default::default(),
                path: path.as_str().into(),
                query: Default::default(),
                host: "shop.test:8080".into(),
                status: Some(if number % 60 == 0 { 404 } else { 200 }),
                ttfb: Some(150_000),
                duration: 900_000,
                request_bytes: 400,
                response_bytes: 1_400,
                request_body: if method == "POST" { 90 } else { 0 },
                response_body: 900,
                auth: if knows { AuthScheme::Jwt } else { AuthScheme::None },
                identity: knows.then_some(IdentityHash(customer as u64 + 1)),
                request_type: Default::default(),
                response_type: "application/json".into(),
                trace: None,
                messages: Default::default(),
                app_status: None,
                failed: false,
                notes: Notes::default(),
                bodies: number.is_multiple_of(10).then(|| {
                    Box::new(apisec_proto::call::Bodies { response: Some(body()), ..Default::default() })
                }),
                graphql: None,
                clues: None,
                credential: knows.then(|| tokens[customer].clone()),
                objects,
                tls: None,
                detail: None,
            }
        })
        .collect()
}

/// One call in the steady state, with the delta that is taken after 20,000 calls.
fn observe(bencher: Bencher<'_, '_>, settings: &Settings) {
    let mut calls = calls();
    let mut observer = Observer::new(Limits::default());
    observer.set_detectors(settings);
    calls.iter().for_each(|call| observer.observe(call));
    let (mut seen, mut at) = (0, SECOND);
    bencher.counter(divan::counter::ItemsCount::new(1_u32)).bench_local(|| {
        seen += 1;
        at += 50_000;
        if seen % 20_000 == 0 {
            divan::black_box(observer.take_delta(at - SECOND, at));
        }
        let turn = seen % calls.len();
        calls[turn].at = at;
        observer.observe(&calls[turn]);
    });
}

#[divan::bench(sample_size = 4_000, sample_count = 50)]
fn a_call_with_all_detectors(bencher: Bencher<'_, '_>) {
    observe(bencher, &Settings::default());
}

#[divan::bench(sample_size = 4_000, sample_count = 50)]
fn a_call_with_no_detector(bencher: Bencher<'_, '_>) {
    let silent = |detector: &&dyn apisec_engine::detect::Detector| {
        ((detector.about().id.to_owned(), "enabled".to_owned()), 0.0)
    };
    observe(bencher, &Settings(DETECTORS.iter().map(silent).collect()));
}
