//! What matching costs: a call against 5,000 documented operations, documented and not.

#![allow(clippy::unwrap_used, reason = "a benchmark on its own data")]

use apisec_engine::drift::Contract;
use apisec_engine::spec::{Documents, Spec, read};
use divan::Bencher;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const NOUNS: [&str; 10] =
    ["orders", "users", "carts", "invoices", "refunds", "products", "reviews", "teams", "keys", "reports"];

fn main() {
    divan::main();
}

/// A document of `operations` operations, five on each path, with parameters at several depths.
fn document(operations: usize) -> Value {
    let mut paths = Map::new();
    for number in 0..operations / 5 {
        let (noun, part) = (NOUNS.get(number % 10).unwrap(), number / 10);
        let path = match number % 3 {
            0 => format!("/{noun}/part{part}"),
            1 => format!("/{noun}/{{id}}/part{part}"),
            _ => format!("/{noun}/{{id}}/part{part}/{{item}}"),
        };
        let operation = json!({"responses": {"200": {"content": {"application/json": {"schema":
            {"type": "object", "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}}}}}});
        let methods = ["get", "put", "post", "delete", "patch"];
        paths.insert(
            path,
            Map::from_iter(methods.map(|method| (method.to_owned(), operation.clone()))).into(),
        );
    }
    json!({"openapi": "3.1.0", "info": {"title": "bench"}, "servers": [{"url": "/api/v1"}], "paths": paths})
}

fn spec(operations: usize) -> Arc<Spec> {
    Arc::new(read(&Documents::new("bench.json", document(operations))))
}

#[divan::bench(args = ["/api/v1/orders/part30", "/api/v1/users/{id:int}/part40/{id:int}", "/api/v1/reports/17/part91", "/api/v1/users/17/nothing/here", "/API/V1/orders/part30"])]
fn find_in_5000(bencher: Bencher, path: &str) {
    let contract = Contract::of(vec![spec(5_000)]);
    assert!(contract.operations().count() == 5_000);
    bencher.bench_local(|| contract.find("PATCH", divan::black_box(path), true));
}

#[divan::bench]
fn read_500_operations(bencher: Bencher) {
    let documents = Documents::new("bench.json", document(500));
    bencher.bench_local(|| read(&documents));
}

#[divan::bench]
fn contract_of_20_times_500(bencher: Bencher) {
    let specs: Vec<Arc<Spec>> = (0..20).map(|_| spec(500)).collect();
    bencher.bench_local(|| Contract::of(specs.clone()));
}
