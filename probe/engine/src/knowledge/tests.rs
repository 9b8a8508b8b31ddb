use super::*;
use crate::command::TemplateRule;
use crate::fixture::{CallSpec, call};
use crate::observe::Observer;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn spec(path: &str) -> CallSpec {
    CallSpec { path: path.into(), ..CallSpec::default() }
}

/// The knowledge of one observer that saw these calls within one delta.
fn known_with(limits: Limits, specs: &[CallSpec]) -> Knowledge {
    let mut known = Knowledge::new(limits, Vec::new());
    known.merge(delta_of(limits, specs));
    known
}

fn delta_of(limits: Limits, specs: &[CallSpec]) -> Delta {
    let mut observer = Observer::new(limits);
    specs.iter().for_each(|spec| observer.observe(&call(spec)));
    observer.take_delta(0, 60 * SECOND)
}

fn snapshot_of(specs: &[CallSpec]) -> Arc<Snapshot> {
    known_with(Limits::default(), specs).snapshot(60 * SECOND)
}

fn shown(snapshot: &Snapshot) -> Vec<(&str, &str, u64)> {
    snapshot.endpoints.iter().map(|e| (e.method.as_str(), e.path.as_str(), e.calls)).collect()
}

fn total(snapshot: &Snapshot) -> (u64, u64) {
    (snapshot.edges.iter().map(|e| e.calls).sum(), snapshot.endpoints.iter().map(|e| e.calls).sum())
}

fn codes(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.capture.degradations.iter().map(|degradation| degradation.code.as_str()).collect()
}

#[test]
fn plain_calls_come_out_as_they_went_in() {
    let specs = vec![
        CallSpec {
            src: "process:curl",
            dst: "process:nginx:8080",
            path: "/users/7".into(),
            ..CallSpec::default()
        };
        5
    ];
    let snapshot = snapshot_of(&specs);
    let endpoint = &snapshot.endpoints[0];
    assert_eq!((endpoint.path.as_str(), endpoint.calls, endpoint.statuses["200"]), ("/users/{id:int}", 5, 5));
    assert_eq!(
        (endpoint.service.as_str(), endpoint.callers.as_slice()),
        ("process:nginx:8080", &["process:curl".to_owned()][..])
    );
    assert_eq!(endpoint.parameter_cardinality, [1]);
    assert!(endpoint.p50_us.abs_diff(2000) <= 40);
    assert_eq!((snapshot.edges[0].src.as_str(), snapshot.edges[0].calls), ("process:curl", 5));
    let ids: Vec<(&str, u64, u64)> =
        snapshot.workloads.iter().map(|w| (w.id.as_str(), w.calls_in, w.calls_out)).collect();
    assert_eq!(ids, [("process:curl", 0, 5), ("process:nginx:8080", 5, 0)]);
    assert_eq!(snapshot.log.len, 5);
    assert!(snapshot.capture.degradations.is_empty());
}

#[test]
fn rates_are_of_the_last_whole_second_that_is_complete() {
    let at = |second: u64| CallSpec { at: second * SECOND + 5, ..spec("/") };
    let mut known = Knowledge::new(Limits::default(), Vec::new());
    let mut observer = Observer::new(Limits::default());
    [8, 9, 9, 9, 10].iter().for_each(|second| observer.observe(&call(&at(*second))));
    known.merge(observer.take_delta(8 * SECOND, 10 * SECOND + 300));
    let snapshot = known.snapshot(10 * SECOND + 900);
    assert!((snapshot.edges[0].rate - 3.0).abs() < 1e-9);
    assert!((snapshot.endpoints[0].rate - 3.0).abs() < 1e-9);
    let ticks: Vec<(u64, u64)> = snapshot.ticks.iter().map(|tick| (tick.at / SECOND, tick.calls)).collect();
    assert_eq!(ticks, [(8, 1), (9, 3), (10, 1)]);
}

#[test]
fn the_server_side_owns_a_call() {
    let client = CallSpec { vantage: Vantage::Client, ..spec("/") };
    let only_client = snapshot_of(&[client.clone(), client.clone()]);
    assert_eq!((total(&only_client), only_client.ticks[0].calls), ((2, 2), 2));
    let both = snapshot_of(&[client.clone(), client.clone(), spec("/"), client, spec("/"), spec("/")]);
    assert_eq!((total(&both), both.ticks[0].calls), ((3, 3), 3));
}

#[test]
fn a_scan_is_one_row_and_loses_no_call() {
    let mut specs: Vec<CallSpec> = (0..2_000)
        .map(|n| CallSpec { status: Some(404), method: "PUT", ..spec(&format!("/x{n}y/probe")) })
        .collect();
    specs.push(spec("/users/7"));
    specs.push(CallSpec { status: Some(404), ..spec("/users/8") });
    let snapshot = snapshot_of(&specs);
    assert_eq!(shown(&snapshot), [("GET", "/users/{id:int}", 2), ("*", "{unrouted}", 2_000)]);
    assert_eq!(snapshot.endpoints[1].statuses["404"], 2_000);
}

#[test]
fn a_few_refused_paths_are_shown_as_they_are() {
    let specs: Vec<CallSpec> = ["/a", "/b"].map(|path| CallSpec { status: Some(404), ..spec(path) }).to_vec();
    assert_eq!(shown(&snapshot_of(&specs)), [("GET", "/a", 1), ("GET", "/b", 1)]);
}

#[test]
fn free_text_folds_and_memory_stays_bounded() {
    let mut known = Knowledge::new(Limits::default(), Vec::new());
    for round in 0..5 {
        let specs: Vec<CallSpec> =
            (0..1_000).map(|n| spec(&format!("/articles/title-{round}-of-{n}-long"))).collect();
        known.merge(delta_of(Limits::default(), &specs));
        known.snapshot(60 * SECOND);
    }
    let snapshot = known.snapshot(60 * SECOND);
    assert_eq!(shown(&snapshot), [("GET", "/articles/{name}", 5_000)]);
    assert!(snapshot.endpoints[0].parameter_cardinality[0].abs_diff(5_000) < 700);
    assert!(known.endpoints <= 130, "{}", known.endpoints);
}

#[test]
fn the_operator_merges_splits_and_takes_back() {
    let specs: Vec<CallSpec> = ["/shop/falcon", "/shop/orders", "/shop/orders"].map(spec).to_vec();
    let mut known = known_with(Limits::default(), &specs);
    let merge = TemplateRule::Merge { service: "process:server:80".into(), path: "/shop/{item}".into() };
    known.apply(Command::Add(merge.clone()));
    assert_eq!(shown(&known.snapshot(0)), [("GET", "/shop/{item}", 3)]);
    assert_eq!(known.rules(), [merge]);
    known.apply(Command::UndoRule);
    assert_eq!(shown(&known.snapshot(0)), [("GET", "/shop/falcon", 1), ("GET", "/shop/orders", 2)]);
}

#[test]
fn calls_in_are_calls_shown_at_every_bound() {
    let tight = Limits {
        workloads: 4,
        externals: 2,
        edges: 3,
        endpoints: 12,
        endpoints_per_service: 6,
        endpoints_per_delta: 40,
        unrouted_per_delta: 3,
        pairs_per_delta: 50,
        rows_per_delta: 10,
        log_rows: 25,
        legs_per_delta: 5,
        legs: 8,
        ..Limits::default()
    };
    const ENDS: [&str; 8] = [
        "external:1",
        "external:2",
        "external:3",
        "process:a",
        "process:b",
        "process:c",
        "process:d",
        "process:e",
    ];
    let mut known = Knowledge::new(tight, Vec::new());
    for round in 0..4 {
        let specs: Vec<CallSpec> = (0..300_usize)
            .map(|n| CallSpec {
                src: ENDS[n % 8],
                dst: ENDS[(n / 8 + 3) % 8],
                status: Some(if n % 3 == 0 { 404 } else { 200 }),
                at: (round * 1000 + n as u64) * 1_000_000,
                ..spec(&format!("/word{}x/thing", n % (20 + 50 * round as usize)))
            })
            .collect();
        known.merge(delta_of(tight, &specs));
        let snapshot = known.snapshot(60 * SECOND);
        assert_eq!(total(&snapshot), (300 * (round + 1), 300 * (round + 1)));
        assert!(snapshot.log.len <= 25);
        let into: u64 = snapshot.workloads.iter().map(|workload| workload.calls_in).sum();
        assert_eq!(into, 300 * (round + 1));
    }
    let snapshot = known.snapshot(60 * SECOND);
    for code in ["workload-cap", "edge-cap", "endpoint-cap", "delta-cap", "log-cap"] {
        assert!(codes(&snapshot).contains(&code), "{code}: {:?}", codes(&snapshot));
    }
    assert!(snapshot.workloads.len() <= 5 && snapshot.edges.len() <= 4);
    assert!(snapshot.endpoints.iter().any(|endpoint| endpoint.path == "{overflow}"));
}

#[test]
fn a_call_through_a_proxy_is_followed() {
    let outer = CallSpec {
        src: "process:curl",
        dst: "process:nginx:80",
        duration: 9_000_000,
        ..spec("/api/users/7")
    };
    let inner = CallSpec {
        src: "process:nginx:80",
        dst: "process:app:90",
        at: outer.at + 1_000_000,
        duration: 5_000_000,
        ..spec("/users/7")
    };
    let snapshot = snapshot_of(&[inner, outer]);
    let chain = &snapshot.chains[0];
    assert_eq!(
        (chain.path.join(" "), chain.calls),
        ("process:curl process:nginx:80 process:app:90".to_owned(), 1)
    );
    assert_eq!(snapshot.edges.len(), 2);
}

#[test]
fn only_the_log_ages() {
    let mut known = known_with(Limits::default(), &[spec("/")]);
    let snapshot = known.snapshot(1_000 * SECOND);
    assert_eq!((snapshot.log.len, snapshot.log.evicted, total(&snapshot)), (0, 1, (1, 1)));
}

fn arbitrary_call() -> impl Strategy<Value = CallSpec> {
    const ENDS: [&str; 5] = ["process:a", "process:b", "unit:c", "external:192.0.2.1", "external:192.0.2.2"];
    let path = prop_oneof![
        "/users/[0-9]{1,3}",
        "/repos/(alice|bob|carlos|dmitri|erin|fatima|giulia|hiro|ingrid|jorge|kofi|lena)/issues",
        "/api/(orders|users)(/[0-9]{1,2})?",
        "/x/item-[0-9]{1,2}",
        "/scan/[a-z]{3}",
    ];
    let status =
        prop_oneof![3 => Just(Some(200)), 2 => Just(Some(404)), 1 => Just(Some(500)), 1 => Just(None)];
    (0_usize..5, 0_usize..5, 1_u64..5_000, 1_u64..500, path, status, any::<bool>(), any::<bool>(), 0_u64..4)
        .prop_map(|(src, dst, at, long, path, status, server, get, trace)| CallSpec {
            at: at * 1_000_000,
            duration: long * 1_000_000,
            src: ENDS[src],
            dst: ENDS[dst],
            vantage: if server || dst < 3 { Vantage::Server } else { Vantage::Client },
            method: if get { "GET" } else { "POST" },
            path,
            status,
            trace: (trace > 0).then_some(trace),
        })
}

/// What must not depend on who saw which call and on the order of merging: everything but the log's chunks.
fn essence(known: &mut Knowledge) -> serde_json::Value {
    let snapshot = known.snapshot(60 * SECOND);
    let mut rows: Vec<String> = snapshot
        .log
        .chunks
        .iter()
        .flat_map(|chunk| {
            chunk.rows.iter().map(|row| format!("{:?}", crate::ndjson::NdjsonCall::from_row(chunk, row)))
        })
        .collect();
    rows.sort();
    let ticks: Vec<String> = snapshot.ticks.iter().map(|tick| format!("{tick:?}")).collect();
    serde_json::json!({ "snapshot": *snapshot, "rows": rows, "ticks": ticks })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_split_in_any_order_gives_the_same_snapshot(
        calls in proptest::collection::vec((arbitrary_call(), 0_usize..4, 0_usize..3), 1..150),
        order in proptest::collection::vec(any::<u32>(), 12),
    ) {
        let limits = Limits::default();
        let all: Vec<CallSpec> = calls.iter().map(|(spec, ..)| spec.clone()).collect();
        let expected = essence(&mut known_with(limits, &all));
        let mut deltas = Vec::new();
        for observer in 0..4 {
            let mut node = Observer::new(limits);
            for turn in 0..3 {
                let mine = calls.iter().filter(|(_, who, when)| *who == observer && *when == turn);
                mine.for_each(|(spec, ..)| node.observe(&call(spec)));
                let bytes = postcard::to_allocvec(&node.take_delta(0, 60 * SECOND)).unwrap();
                deltas.push(postcard::from_bytes::<Delta>(&bytes).unwrap());
            }
        }
        let mut keyed: Vec<(u32, Delta)> = order.into_iter().zip(deltas).collect();
        keyed.sort_by_key(|(key, _)| *key);
        let deltas: Vec<Delta> = keyed.into_iter().map(|(_, delta)| delta).collect();
        let mut one_by_one = Knowledge::new(limits, Vec::new());
        deltas.iter().cloned().for_each(|delta| one_by_one.merge(delta));
        prop_assert_eq!(&essence(&mut one_by_one), &expected);
        let (mut left, mut right) = (Delta::default(), Delta::default());
        deltas.iter().take(5).cloned().for_each(|delta| left.merge(delta));
        deltas.iter().skip(5).cloned().for_each(|delta| right.merge(delta));
        right.merge(left);
        let mut at_once = Knowledge::new(limits, Vec::new());
        at_once.merge(right);
        prop_assert_eq!(&essence(&mut at_once), &expected);
    }

    #[test]
    fn snapshots_in_between_change_nothing(calls in proptest::collection::vec(arbitrary_call(), 1..150)) {
        let limits = Limits::default();
        let expected = essence(&mut known_with(limits, &calls));
        let mut known = Knowledge::new(limits, Vec::new());
        for part in calls.chunks(20) {
            known.merge(delta_of(limits, part));
            known.snapshot(60 * SECOND);
        }
        let chains = |mut value: serde_json::Value| {
            // Chains are settled as time goes by: a leg that arrives later than two seconds is not followed.
            value["snapshot"]["chains"] = serde_json::Value::Null;
            value
        };
        prop_assert_eq!(chains(essence(&mut known)), chains(expected));
    }
}

#[test]
fn the_owner_of_a_service_looks_after_its_endpoints() {
    let mut delta = delta_of(Limits::default(), &[spec("/orders/7")]);
    let own = delta.workloads.iter_mut().find(|described| *described.id == *CallSpec::default().dst).unwrap();
    Arc::make_mut(&mut own.workload).owner = "payments".into();
    let mut known = Knowledge::new(Limits::default(), Vec::new());
    known.merge(delta);
    let snapshot = known.snapshot(60 * SECOND);
    let owners: Vec<&str> =
        snapshot.endpoints.iter().map(|endpoint| endpoint.documentation.owner.as_str()).collect();
    assert_eq!(owners, ["payments"]);
}

/// What a program did before it listened, what others did, and what it did since.
fn before_and_after() -> (Vec<CallSpec>, Vec<CallSpec>) {
    let early = CallSpec { src: "process:gateway", dst: "process:stock:81", ..spec("/stock/7") };
    let other = CallSpec { dst: "process:stock:81", ..spec("/stock/8") };
    let called = CallSpec { dst: "process:gateway:80", ..spec("/orders/7") };
    let late = CallSpec { src: "process:gateway:80", at: 2 * SECOND, ..early.clone() };
    (vec![early.clone(), early, other.clone()], vec![called, late, other])
}

fn renamed(from: &str, to: &str) -> Delta {
    Delta { renames: vec![crate::rename::Rename { from: from.into(), to: to.into() }], ..Delta::default() }
}

#[test]
fn a_client_that_became_a_server_is_one_row_whenever_that_is_learnt() {
    let (early, late) = before_and_after();
    let deltas = [
        delta_of(Limits::default(), &early),
        delta_of(Limits::default(), &late),
        Delta { from: SECOND, to: SECOND, ..renamed("process:gateway", "process:gateway:80") },
    ];
    let mut seen = Vec::new();
    for order in [[0, 1, 2], [0, 2, 1], [2, 0, 1], [1, 2, 0], [2, 1, 0], [1, 0, 2]] {
        let mut known = Knowledge::new(Limits::default(), Vec::new());
        for at in order {
            known.merge(deltas[at].clone());
            known.snapshot(60 * SECOND);
        }
        let snapshot = known.snapshot(60 * SECOND);
        let ids: Vec<_> =
            snapshot.workloads.iter().map(|w| (w.id.as_str(), w.calls_in, w.calls_out)).collect();
        assert_eq!(
            ids,
            [("process:client", 0, 3), ("process:gateway:80", 1, 3), ("process:stock:81", 5, 0)],
            "{order:?}"
        );
        let edges: Vec<_> =
            snapshot.edges.iter().map(|e| (e.src.as_str(), e.dst.as_str(), e.calls)).collect();
        assert_eq!(
            edges[1..],
            [("process:client", "process:stock:81", 2), ("process:gateway:80", "process:stock:81", 3)]
        );
        let stock = snapshot.endpoints.iter().find(|e| e.path == "/stock/{id:int}").unwrap();
        assert_eq!((stock.calls, stock.caller_count), (5, 2));
        assert_eq!(stock.callers, ["process:gateway:80", "process:client"]);
        let log = &snapshot.log.chunks;
        assert!(log.iter().all(|chunk| !chunk.workloads.iter().any(|id| id == "process:gateway")));
        let rows = (&snapshot.edges, &snapshot.endpoints, &snapshot.workloads, &snapshot.chains);
        seen.push(serde_json::to_string(&rows).unwrap());
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:#?}");
}

#[test]
fn two_renames_in_a_row_are_one() {
    let (early, late) = before_and_after();
    let mut known = known_with(Limits::default(), &early);
    known.merge(renamed("process:gateway", "process:gateway:9000"));
    known.merge(delta_of(Limits::default(), &late));
    known.merge(renamed("process:gateway:9000", "process:gateway:80"));
    let snapshot = known.snapshot(60 * SECOND);
    assert_eq!(
        snapshot.workloads.iter().map(|w| w.id.as_str()).collect::<Vec<_>>(),
        ["process:client", "process:gateway:80", "process:stock:81"]
    );
    assert_eq!(total(&snapshot), (6, 6));
}
