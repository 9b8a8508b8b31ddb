//! What one call costs, and what a second's merge and a snapshot cost when everything is large.

#![allow(clippy::indexing_slicing, reason = "a benchmark on its own data")]

use apisec_engine::command::Command;
use apisec_engine::delta::Delta;
use apisec_engine::drift::Given;
use apisec_engine::knowledge::Knowledge;
use apisec_engine::limits::Limits;
use apisec_engine::observe::Observer;
use apisec_engine::spec::{Documents, read};
use apisec_proto::call::{AuthScheme, Call, Notes, Party, Protocol, Vantage, Workload, WorkloadKind};
use divan::Bencher;
use serde_json::{Map, Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;

fn main() {
    divan::main();
}

fn party(number: u32) -> Party {
    let id = format!("process:service-{number}:8080");
    let workload = Workload {
        pid: number,
        exe: "/usr/bin/service".into(),
        command: "service --port 8080".into(),
        user: "www-data".into(),
        netns: 1,
        address: "127.0.0.1:8080".into(),
        ..Workload::named(&id, &format!("service-{number}"), WorkloadKind::Process)
    };
    Party { number, workload: Arc::new(workload) }
}

fn call(number: usize, src: &Party, dst: &Party) -> Call {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    Call {
        at: SECOND + number as u64 * 20_000,
        src: src.clone(),
        dst: dst.clone(),
        src_addr: address,
        dst_addr: address,
        vantage: Vantage::Server,
        protocol: Protocol::Http1,
        method: if number.is_multiple_of(5) { "POST".into() } else { "GET".into() },
        operation: Default::default(),
        path: format!(
            "/api/v1/{}/{}/lines/{}",
            ["orders", "users", "carts"][number % 3],
            number * 7,
            number % 13
        )
        .as_str()
        .into(),
        query: Default::default(),
        host: "shop.test:8080".into(),
        status: Some(if number.is_multiple_of(50) { 500 } else { 200 }),
        ttfb: Some(150_000),
        duration: 200_000 + (number as u64 * 7_919) % 3_000_000,
        request_bytes: 180,
        response_bytes: 420,
        request_body: 0,
        response_body: 200,
        auth: AuthScheme::Bearer,
        identity: None,
        request_type: Default::default(),
        response_type: "application/json".into(),
        trace: None,
        messages: Default::default(),
        app_status: None,
        failed: false,
        notes: Notes::default(),
        bodies: None,
        graphql: None,
        clues: None,
        credential: None,
        objects: Default::default(),
        tls: None,
        detail: None,
    }
}

/// Calls to `endpoints` endpoints of a twentieth as many services, in turn.
fn calls(endpoints: usize, services: usize) -> Vec<Call> {
    let parties: Vec<Party> = (0..services as u32).map(party).collect();
    let mut calls: Vec<Call> = Vec::with_capacity(endpoints);
    for number in 0..endpoints {
        let (src, dst) = (&parties[(number * 31 + 1) % services], &parties[number % services]);
        let mut call = call(number, src, dst);
        call.path =
            format!("/api/part{}/orders/{}/lines", letters(number / services), number * 7).as_str().into();
        calls.push(call);
    }
    calls
}

/// A name that is never taken for a value.
fn letters(mut number: usize) -> String {
    let mut name = String::from("list.");
    loop {
        name.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
        if number == 0 {
            return name;
        }
    }
}

/// One call in the steady state, with the delta that is taken after 40,000 calls.
fn observe(bencher: Bencher<'_, '_>, mut calls: Vec<Call>) {
    let mut observer = Observer::new(Limits::default());
    calls.iter().for_each(|call| observer.observe(call));
    let (mut seen, mut at) = (0, SECOND);
    bencher.counter(divan::counter::ItemsCount::new(1_u32)).bench_local(|| {
        seen += 1;
        at += 25_000;
        if seen % 40_000 == 0 {
            divan::black_box(observer.take_delta(at - SECOND, at));
        }
        let turn = seen % calls.len();
        calls[turn].at = at;
        observer.observe(&calls[turn]);
    });
}

/// As a load generator does it: the same paths again and again.
#[divan::bench(sample_size = 4_000, sample_count = 50)]
fn observe_50_endpoints(bencher: Bencher<'_, '_>) {
    observe(bencher, calls(50, 5));
}

/// Every call brings an identifier that was not seen before.
#[divan::bench(sample_size = 4_000, sample_count = 50)]
fn observe_50_endpoints_new_identifiers(bencher: Bencher<'_, '_>) {
    let base = calls(50, 5);
    let many: Vec<Call> = (0..50_000)
        .map(|number| {
            let mut call = base[number % 50].clone();
            let operation = letters(number % 50 / 5);
            call.path = format!("/api/{operation}/orders/{}/lines", number * 7).as_str().into();
            call
        })
        .collect();
    observe(bencher, many);
}

#[divan::bench(sample_size = 4_000, sample_count = 50)]
fn observe_10_000_endpoints(bencher: Bencher<'_, '_>) {
    observe(bencher, calls(10_000, 2_000));
}

fn delta(endpoints: usize, services: usize, calls_each: usize) -> Delta {
    let calls = calls(endpoints, services);
    let mut observer = Observer::new(Limits::default());
    for _ in 0..calls_each {
        calls.iter().for_each(|call| observer.observe(call));
    }
    observer.take_delta(0, 2 * SECOND)
}

#[divan::bench(args = [50, 10_000])]
fn take_delta(bencher: Bencher<'_, '_>, endpoints: usize) {
    let calls = calls(endpoints, (endpoints / 5).min(2_000));
    let mut observer = Observer::new(Limits::default());
    bencher.bench_local(|| {
        calls.iter().for_each(|call| observer.observe(call));
        observer.take_delta(0, SECOND)
    });
}

#[divan::bench(args = [50, 10_000])]
fn merge(bencher: Bencher<'_, '_>, endpoints: usize) {
    let delta = delta(endpoints, (endpoints / 5).min(2_000), 1);
    let mut known = Knowledge::new(Limits::default(), Vec::new());
    bencher.with_inputs(|| delta.clone()).bench_local_values(|delta| known.merge(delta));
}

/// Nothing has changed since the last snapshot but the time.
#[divan::bench]
fn snapshot_10_000_endpoints_idle(bencher: Bencher<'_, '_>) {
    let mut known = Knowledge::new(Limits::default(), Vec::new());
    known.merge(delta(10_000, 2_000, 1));
    bencher.bench_local(|| known.snapshot(2 * SECOND));
}

/// Every endpoint was called since the last snapshot.
#[divan::bench(sample_count = 30)]
fn snapshot_10_000_endpoints_all_changed(bencher: Bencher<'_, '_>) {
    let delta = delta(10_000, 2_000, 1);
    let known = std::cell::RefCell::new(Knowledge::new(Limits::default(), Vec::new()));
    bencher
        .with_inputs(|| known.borrow_mut().merge(delta.clone()))
        .bench_local_values(|()| known.borrow_mut().snapshot(2 * SECOND));
}

/// The first snapshot: every path is folded for the first time.
#[divan::bench(sample_count = 20)]
fn snapshot_10_000_endpoints_all_new(bencher: Bencher<'_, '_>) {
    let delta = delta(10_000, 2_000, 1);
    bencher
        .with_inputs(|| {
            let mut known = Knowledge::new(Limits::default(), Vec::new());
            known.merge(delta.clone());
            known
        })
        .bench_local_values(|mut known| known.snapshot(2 * SECOND));
}

/// One service with all endpoints, one of them new since the last snapshot: the worst regrouping.
#[divan::bench(sample_count = 20)]
fn snapshot_10_000_endpoints_of_one_service_one_new(bencher: Bencher<'_, '_>) {
    let (src, dst) = (party(1), party(2));
    let mut observer = Observer::new(Limits::default());
    for number in 0..10_000 {
        let mut call = call(number, &src, &dst);
        call.path = format!("/api/{}/orders/{}", letters(number), number).as_str().into();
        observer.observe(&call);
    }
    let known = std::cell::RefCell::new(Knowledge::new(Limits::default(), Vec::new()));
    known.borrow_mut().merge(observer.take_delta(0, SECOND));
    let mut round = 10_000;
    bencher
        .with_inputs(|| {
            round += 1;
            let mut call = call(round, &src, &dst);
            call.path = format!("/api/{}/orders/{}", letters(round), round).as_str().into();
            observer.observe(&call);
            known.borrow_mut().merge(observer.take_delta(0, SECOND));
        })
        .bench_local_values(|()| known.borrow_mut().snapshot(2 * SECOND));
}

/// 500 operations on 100 paths.
fn documented() -> Vec<Given> {
    let responses = json!({"200": {"content": {"application/json": {"schema": {"type": "object"}}}}});
    let item = ["get", "put", "post", "delete", "patch"].map(|method| {
        (method.to_owned(), json!({"parameters": [{"in": "query", "name": "page"}], "responses": responses}))
    });
    let item = Value::from(Map::from_iter(item));
    let paths: Map<String, Value> =
        (0..100).map(|n| (format!("/part{}/{{id}}", letters(n)), item.clone())).collect();
    let document = json!({"openapi": "3.1.0", "servers": [{"url": "/api/v1"}], "paths": paths});
    let spec = Arc::new(read(&Documents::new("bench.json", document)));
    vec![Given { spec, service: Some("process:service-1:8080".to_owned()), ..Given::default() }]
}

/// A second of 10,000 calls to documented operations, merged and shown, without and with their specification: the difference is
/// what drift costs these calls.
#[divan::bench(args = [false, true])]
fn a_second_of_calls(bencher: Bencher, with_specification: bool) {
    let mut known = Knowledge::new(Limits::default(), Vec::new());
    if with_specification {
        known.apply(Command::Specify(documented()));
    }
    let (src, dst) = (party(0), party(1));
    let mut observer = Observer::new(Limits::default());
    let mut second = 1;
    let mut delta = || {
        second += 1;
        for number in 0..10_000 {
            let mut call = call(number, &src, &dst);
            call.at = second * SECOND + number as u64;
            call.path = format!("/api/v1/part{}/{number}", letters(number % 20)).as_str().into();
            observer.observe(&call);
        }
        observer.take_delta(second * SECOND, (second + 1) * SECOND)
    };
    known.merge(delta());
    let mut at = 10 * SECOND;
    bencher.with_inputs(delta).bench_local_values(|delta| {
        at += SECOND;
        known.merge(delta);
        known.snapshot(at)
    });
}
