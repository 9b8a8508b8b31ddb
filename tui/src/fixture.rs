//! A small shop at one moment, the same every time: twenty workloads, proxies, errors, losses, a log.

// Named by path, because an example includes this file by path too.
#[path = "fixture/log.rs"]
mod log;

use apisec_engine::call_log::CallChunk;
use apisec_engine::coverage::{CoverageView, HalfReadView, Shares};
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::snapshot::{
    Capture, CarriageView, ChainView, EdgeView, EndpointView, Kind, SCHEMA, Snapshot, Tick, Window,
    WorkloadView,
};
use log::log;
use std::collections::BTreeMap;
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
/// 2026-03-14 09:26:53 UTC.
const START: u64 = 1_773_480_413 * SECOND;
/// Length of the window.
const SECONDS: u64 = 180;

const WORKLOADS: &[(&str, &str, Kind)] = &[
    ("container:3f2a9c", "catalog", Kind::Container),
    ("container:51b0de", "search", Kind::Container),
    ("container:77aa01", "recommend", Kind::Container),
    ("external:192.0.2.7", "192.0.2.7", Kind::External),
    ("external:198.51.100.23", "198.51.100.23", Kind::External),
    ("external:api.stripe.example", "api.stripe.example", Kind::External),
    ("external:hooks.mail.example", "hooks.mail.example", Kind::External),
    ("pod:7d9f-cart", "cart", Kind::Pod),
    ("pod:7d9f-checkout", "checkout", Kind::Pod),
    ("pod:7d9f-inventory", "inventory", Kind::Pod),
    ("pod:7d9f-ledger", "ledger", Kind::Pod),
    ("pod:7d9f-pricing", "pricing", Kind::Pod),
    ("process:curl", "curl", Kind::Process),
    ("process:envoy:15001", "envoy", Kind::Process),
    ("process:python3:8900", "python3", Kind::Process),
    ("process:wrk", "wrk", Kind::Process),
    ("unit:nginx.service", "nginx", Kind::Unit),
    ("unit:payments.service", "payments", Kind::Unit),
    ("unit:sessions.service", "sessions", Kind::Unit),
    ("unit:users.service", "users", Kind::Unit),
];

/// Caller, callee, calls, errors, unanswered, rate, p50, p99.
type Link = (&'static str, &'static str, u64, u64, u64, f64, u64, u64);
const EDGES: &[Link] = &[
    ("container:3f2a9c", "pod:7d9f-inventory", 5_210, 4, 0, 31.0, 640, 4_100),
    ("container:3f2a9c", "pod:7d9f-pricing", 5_118, 0, 0, 30.0, 420, 2_900),
    ("container:51b0de", "container:3f2a9c", 2_230, 12, 0, 12.0, 2_800, 19_400),
    ("container:77aa01", "container:3f2a9c", 801, 0, 0, 4.0, 3_100, 21_000),
    ("external:192.0.2.7", "unit:nginx.service", 8_420, 310, 2, 47.0, 6_200, 88_000),
    ("external:198.51.100.23", "unit:nginx.service", 1_207, 988, 0, 6.0, 3_900, 12_000),
    ("pod:7d9f-checkout", "pod:7d9f-ledger", 640, 1, 0, 3.0, 1_900, 9_800),
    ("pod:7d9f-checkout", "pod:7d9f-pricing", 655, 0, 0, 3.0, 410, 2_100),
    ("pod:7d9f-checkout", "unit:payments.service", 640, 38, 6, 3.0, 41_000, 812_000),
    ("pod:7d9f-cart", "pod:7d9f-pricing", 1_870, 0, 0, 10.0, 430, 2_400),
    ("pod:7d9f-ledger", "process:python3:8900", 64, 0, 0, 0.0, 12_000, 44_000),
    ("process:curl", "unit:users.service", 12, 3, 0, 0.0, 900, 1_400),
    ("process:envoy:15001", "container:3f2a9c", 4_402, 21, 0, 26.0, 2_700, 17_200),
    ("process:envoy:15001", "container:51b0de", 2_218, 9, 0, 13.0, 3_600, 25_000),
    ("process:envoy:15001", "container:77aa01", 811, 0, 0, 4.0, 4_800, 30_100),
    ("process:envoy:15001", "pod:7d9f-cart", 1_921, 14, 0, 11.0, 1_800, 9_100),
    ("process:envoy:15001", "pod:7d9f-checkout", 688, 44, 6, 3.0, 51_000, 951_000),
    ("process:envoy:15001", "unit:users.service", 3_102, 902, 0, 18.0, 1_100, 7_900),
    ("process:wrk", "unit:nginx.service", 4_380, 0, 0, 24.0, 900, 3_300),
    ("unit:nginx.service", "process:envoy:15001", 13_142, 1_011, 8, 75.0, 5_900, 92_000),
    ("unit:payments.service", "external:api.stripe.example", 634, 31, 6, 3.0, 38_000, 790_000),
    ("unit:payments.service", "external:hooks.mail.example", 602, 0, 0, 3.0, 22_000, 61_000),
    ("unit:users.service", "unit:sessions.service", 3_090, 3, 0, 18.0, 380, 1_900),
];

/// Service, method, path, share of its service in percent, statuses in percent, p50, p99, auth.
type Operation =
    (&'static str, &'static str, &'static str, u64, &'static [(&'static str, u64)], u64, u64, &'static str);
const OPERATIONS: &[Operation] = &[
    ("container:3f2a9c", "GET", "/products", 40, &[("200", 100)], 2_100, 14_000, "none"),
    ("container:3f2a9c", "GET", "/products/{id:int}", 45, &[("200", 98), ("404", 2)], 1_400, 9_000, "none"),
    ("container:3f2a9c", "GET", "/products/{id:int}/reviews", 15, &[("200", 100)], 3_900, 22_000, "none"),
    ("container:51b0de", "GET", "/search", 90, &[("200", 99), ("400", 1)], 3_500, 24_000, "none"),
    ("container:51b0de", "GET", "/suggest", 10, &[("200", 100)], 800, 4_000, "none"),
    ("container:77aa01", "GET", "/recommendations/{user:uuid}", 100, &[("200", 100)], 4_800, 30_100, "jwt"),
    (
        "external:api.stripe.example",
        "POST",
        "/v1/charges",
        100,
        &[("200", 95), ("402", 4), ("500", 1)],
        38_000,
        790_000,
        "bearer",
    ),
    ("external:hooks.mail.example", "POST", "/send", 100, &[("202", 100)], 22_000, 61_000, "apikey"),
    ("pod:7d9f-cart", "DELETE", "/cart/{id:uuid}/items/{item:int}", 8, &[("204", 100)], 1_200, 5_000, "jwt"),
    ("pod:7d9f-cart", "GET", "/cart/{id:uuid}", 60, &[("200", 99), ("404", 1)], 1_500, 8_000, "jwt"),
    ("pod:7d9f-cart", "POST", "/cart/{id:uuid}/items", 32, &[("201", 100)], 2_200, 9_100, "jwt"),
    (
        "pod:7d9f-checkout",
        "POST",
        "/checkout",
        80,
        &[("201", 93), ("402", 5), ("503", 2)],
        51_000,
        951_000,
        "jwt",
    ),
    ("pod:7d9f-checkout", "GET", "/checkout/{id:ulid}/status", 20, &[("200", 100)], 900, 3_000, "jwt"),
    ("pod:7d9f-inventory", "GET", "/stock/{sku}", 95, &[("200", 100)], 600, 4_000, "none"),
    ("pod:7d9f-inventory", "PUT", "/stock/{sku}", 5, &[("204", 98), ("409", 2)], 2_400, 9_000, "apikey"),
    ("pod:7d9f-ledger", "POST", "/entries", 100, &[("201", 100)], 1_900, 9_800, "bearer"),
    ("pod:7d9f-pricing", "POST", "/quote", 100, &[("200", 100)], 420, 2_900, "none"),
    (
        "process:envoy:15001",
        "GET",
        "/products/{id:int}",
        50,
        &[("200", 98), ("404", 2)],
        2_700,
        17_200,
        "cookie",
    ),
    ("process:envoy:15001", "POST", "/login", 25, &[("200", 60), ("401", 40)], 5_900, 41_000, "none"),
    (
        "process:envoy:15001",
        "POST",
        "/checkout",
        25,
        &[("201", 93), ("402", 5), ("503", 2)],
        52_000,
        960_000,
        "jwt",
    ),
    ("process:python3:8900", "POST", "/rpc", 100, &[("200", 100)], 12_000, 44_000, "none"),
    (
        "unit:nginx.service",
        "GET",
        "/api/v1/products/{id:int}",
        40,
        &[("200", 97), ("404", 3)],
        3_100,
        18_000,
        "cookie",
    ),
    ("unit:nginx.service", "GET", "/static/{file}", 30, &[("200", 90), ("304", 10)], 300, 900, "none"),
    ("unit:nginx.service", "POST", "/api/v1/login", 25, &[("200", 60), ("401", 40)], 6_200, 42_000, "none"),
    ("unit:nginx.service", "GET", "/.env", 5, &[("404", 100)], 200, 700, "none"),
    (
        "unit:payments.service",
        "POST",
        "/payments",
        100,
        &[("201", 94), ("402", 5), ("504", 1)],
        41_000,
        812_000,
        "jwt",
    ),
    ("unit:sessions.service", "GET", "/sessions/{id}", 100, &[("200", 100)], 380, 1_900, "apikey"),
    ("unit:users.service", "GET", "/users/{id:int}", 40, &[("200", 88), ("403", 12)], 1_100, 7_000, "jwt"),
    ("unit:users.service", "GET", "/users/{id:int}/orders", 20, &[("200", 100)], 2_100, 9_000, "jwt"),
    ("unit:users.service", "PATCH", "/users/{id:int}", 5, &[("200", 100)], 2_600, 9_900, "jwt"),
    ("unit:users.service", "POST", "/login", 35, &[("200", 30), ("401", 70)], 4_100, 31_000, "none"),
];

/// Service, path, class in requests or answers, of how many calls in percent, over mutual TLS.
type Carried = (&'static str, &'static str, &'static str, bool, u64, bool);
const CARRIED: &[Carried] = &[
    ("unit:payments.service", "/payments", "card", true, 95, true),
    ("unit:users.service", "/users/{id:int}", "email", false, 88, false),
    ("unit:users.service", "/login", "jwt", false, 30, false),
];

/// Gives an endpoint, and the edges to its service, what they carry.
fn carry(edges: &mut [EdgeView], endpoints: &mut [EndpointView], own: &Carried) {
    let (service, path, class, asks, percent, mutual) = *own;
    let carry = |carriage: &mut CarriageView, calls: u64| {
        (carriage.encrypted, carriage.mutual) = if mutual { (calls, calls) } else { (0, 0) };
        let CarriageView { request, response, request_calls, response_calls, .. } = carriage;
        let (names, counts) = if asks { (request, request_calls) } else { (response, response_calls) };
        names.push(class.to_owned());
        counts.insert(class.to_owned(), calls * percent / 100);
    };
    let endpoints = endpoints.iter_mut().filter(|own| own.service == service && own.path == path);
    endpoints.for_each(|own| carry(&mut own.carriage, own.calls));
    edges.iter_mut().filter(|own| own.dst == service).for_each(|own| carry(&mut own.carriage, own.calls));
}

/// The shop.
pub(crate) fn shop() -> Snapshot {
    let end = START + SECONDS * SECOND;
    let mut edges: Vec<EdgeView> = EDGES.iter().map(edge).collect();
    edges.sort_by(|a, b| (&a.src, &a.dst).cmp(&(&b.src, &b.dst)));
    let mut endpoints: Vec<EndpointView> = OPERATIONS.iter().map(endpoint).collect();
    endpoints.sort_by(|a, b| (&a.service, &a.path, &a.method).cmp(&(&b.service, &b.path, &b.method)));
    CARRIED.iter().for_each(|own| carry(&mut edges, &mut endpoints, own));
    Snapshot {
        schema: SCHEMA.to_owned(),
        window: Window {
            start: "2026-03-14T09:26:53Z".to_owned(),
            end: "2026-03-14T09:29:53Z".to_owned(),
            start_ns: START,
            end_ns: end,
        },
        workloads: WORKLOADS.iter().map(workload).collect(),
        capture: capture(edges.iter().map(|edge| edge.calls).sum()),
        edges,
        chains: vec![
            chain(
                &["external:192.0.2.7", "unit:nginx.service", "process:envoy:15001", "container:3f2a9c"],
                3_902,
            ),
            chain(
                &["external:192.0.2.7", "unit:nginx.service", "process:envoy:15001", "unit:users.service"],
                2_744,
            ),
            chain(
                &[
                    "external:198.51.100.23",
                    "unit:nginx.service",
                    "process:envoy:15001",
                    "unit:users.service",
                ],
                980,
            ),
        ],
        endpoints,
        revision: 7,
        ticks: (0..SECONDS).map(tick).collect(),
        log: log(end, 1_200),
        ..Snapshot::default()
    }
}

/// The shop under names and paths that try to break the screen.
pub(crate) fn hostile() -> Snapshot {
    const NAMES: &[&str] = &[
        "\u{1b}[31mred\u{1b}[0m",
        "a\u{202e}gpj.exe",
        "日本語サービス",
        "zero\u{200b}width",
        "\u{9b}2J\r\nnew",
    ];
    const PATHS: &[&str] = &[
        "/\u{1b}]0;owned\u{7}",
        "/rtl/\u{202e}nimda",
        "/広い/文字/{id}",
        "/tab\there\0",
        "/e\u{301}\u{301}\u{301}/\u{feff}",
    ];
    let mut snapshot = shop();
    for (workload, name) in snapshot.workloads.iter_mut().rev().zip(NAMES.iter().cycle()) {
        workload.name = format!("{name}{}", workload.pid);
    }
    for (endpoint, path) in snapshot.endpoints.iter_mut().zip(PATHS.iter().cycle()) {
        endpoint.path = format!("{path}/{}", endpoint.p50_us);
        endpoint.method = "GE\u{1b}T".to_owned();
        endpoint.hosts = vec!["evil\u{202e}\u{7}.example".to_owned()];
    }
    let chunks = snapshot.log.chunks.iter().map(|chunk| {
        let mut chunk = CallChunk::clone(chunk);
        chunk.text = "/\u{7}\u{202e}\u{9b}日本\u{1b}[2J".into();
        for row in &mut chunk.rows {
            (row.path_start, row.path_len) = (0, chunk.text.len() as u16);
        }
        for field in chunk.details.iter_mut().flat_map(|detail| &mut detail.request_fields) {
            field.value = "\u{1b}]52;c;aGk=\u{7}".into();
        }
        Arc::new(chunk)
    });
    snapshot.log.chunks = chunks.collect();
    for degradation in &mut snapshot.capture.degradations {
        degradation.what = "\u{1b}[2Jwhat\nnow".to_owned();
    }
    for row in &mut snapshot.capture.coverage {
        row.library = "lib\u{1b}]0;x\u{7}".to_owned();
        row.reason.push_str("\u{202e}\u{9b}2J");
    }
    snapshot
}

/// The shop with `count` endpoints under one service.
pub(crate) fn crowded(count: u64) -> Snapshot {
    let mut snapshot = shop();
    let model = snapshot.endpoints.first().cloned().expect("endpoints");
    snapshot.endpoints = (0..count)
        .map(|n| EndpointView {
            path: format!("/group{:02}/resource{n:05}/{{id:int}}", n % 40),
            calls: count - n,
            ..model.clone()
        })
        .collect();
    snapshot.endpoints.sort_by(|a, b| a.path.cmp(&b.path));
    snapshot
}

fn workload(&(id, name, kind): &(&str, &str, Kind)) -> WorkloadView {
    let calls = |pick: fn(&Link) -> &'static str| {
        EDGES.iter().filter(|edge| pick(edge) == id).map(|edge| edge.2).sum()
    };
    WorkloadView {
        id: id.to_owned(),
        name: name.to_owned(),
        kind,
        pid: 1_000 + id.len() as u32,
        exe: format!("/usr/bin/{name}"),
        command: format!("/usr/bin/{name} --port 8080"),
        user: "www-data".to_owned(),
        unit: id.strip_prefix("unit:").unwrap_or_default().to_owned(),
        container: id.strip_prefix("container:").unwrap_or_default().to_owned(),
        pod_uid: id.strip_prefix("pod:").unwrap_or_default().to_owned(),
        netns: 4_026_531_840,
        address: "10.0.3.7".to_owned(),
        owner: String::new(),
        calls_in: calls(|edge| edge.1),
        calls_out: calls(|edge| edge.0),
    }
}

fn edge(&(src, dst, calls, errors, unanswered, rate, p50_us, p99_us): &Link) -> EdgeView {
    EdgeView {
        src: src.to_owned(),
        dst: dst.to_owned(),
        protocol: "http1".to_owned(),
        calls,
        errors,
        unanswered,
        rate,
        p50_us,
        p99_us,
        request_bytes: calls * 412,
        response_bytes: calls * 2_048,
        first_seen: START,
        last_seen: START + SECONDS * SECOND,
        ..EdgeView::default()
    }
}

fn chain(path: &[&str], calls: u64) -> ChainView {
    ChainView { path: path.iter().map(|id| (*id).to_owned()).collect(), calls }
}

fn endpoint(&(service, method, path, percent, statuses, p50_us, p99_us, auth): &Operation) -> EndpointView {
    let into = || EDGES.iter().filter(|edge| edge.1 == service);
    let calls = into().map(|edge| edge.2).sum::<u64>() * percent / 100;
    let statuses: BTreeMap<String, u64> =
        statuses.iter().map(|(status, share)| ((*status).to_owned(), (calls * share / 100).max(1))).collect();
    let errors = statuses.iter().filter(|(status, _)| status.as_str() >= "400").map(|(_, n)| n).sum();
    let parameters = path.matches('{').count() as u64;
    EndpointView {
        service: service.to_owned(),
        protocol: "http1".to_owned(),
        method: method.to_owned(),
        operation: String::new(),
        path: path.to_owned(),
        calls,
        errors,
        statuses,
        unanswered: 0,
        rate: (calls / SECONDS) as f64,
        p50_us,
        p99_us,
        request_bytes: calls * 412,
        response_bytes: calls * 2_048,
        auth: vec![auth.to_owned()],
        callers: into().map(|edge| edge.0.to_owned()).collect(),
        caller_count: into().count() as u64,
        hosts: vec!["shop.example:443".to_owned()],
        query: if path.contains("search") { vec!["q".to_owned(), "page".to_owned()] } else { Vec::new() },
        request_types: if method == "GET" { Vec::new() } else { vec!["application/json".to_owned()] },
        response_types: vec!["application/json".to_owned()],
        parameter_cardinality: (0..parameters).map(|n| 1_840 / (n + 1)).collect(),
        first_seen: START,
        last_seen: START + SECONDS * SECOND,
        notes: if path == "/.env" { BTreeMap::from([("bad-host".to_owned(), 41)]) } else { BTreeMap::new() },
        ..EndpointView::default()
    }
}

fn capture(calls: u64) -> Capture {
    Capture {
        source: "live".to_owned(),
        calls,
        chunks: calls * 2,
        lost: 132,
        losses: BTreeMap::from([("gap".to_owned(), 0), ("ring-full".to_owned(), 132)]),
        degradations: vec![
            Degradation {
                code: "ring-full".to_owned(),
                severity: Severity::Partial,
                what: "132 chunks were lost because the ring buffer was full".to_owned(),
                remedy: "give it more memory: --ring 64M".to_owned(),
            },
            Degradation {
                code: "no-tls".to_owned(),
                severity: Severity::Notice,
                what: "14 TLS connections are not decoded".to_owned(),
                remedy: String::new(),
            },
        ],
        coverage: coverage(),
        half_read: vec![HalfReadView {
            connection: 4_711,
            src: "process:envoy:15001".to_owned(),
            dst: "unit:payments.service".to_owned(),
            client: "10.0.3.4:51820".to_owned(),
            server: "10.0.3.9:8443".to_owned(),
            at_server: true,
            calls: 318,
            last_seen: START + SECONDS * SECOND,
        }],
        ..Capture::default()
    }
}

fn coverage() -> Vec<CoverageView> {
    let rows = [
        ("", "node", "quic", "", "", [0, 0, 0], [0, 0, 1_310_000], "QUIC (HTTP/3) is not read"),
        (
            "",
            "node",
            "unix",
            "",
            "",
            [0, 0, 12],
            [0, 0, 0],
            "unix sockets are not read; their bytes are not counted",
        ),
        ("container:3f2a9c", "catalog", "http1", "", "", [41, 0, 0], [9_120_000, 0, 0], ""),
        (
            "process:envoy:15001",
            "envoy",
            "tls",
            "Java",
            "",
            [0, 0, 7],
            [0, 0, 402_000],
            "Java has its own TLS, which is not read",
        ),
        (
            "unit:nginx.service",
            "nginx",
            "http1",
            "OpenSSL 3",
            "emulated",
            [12, 210, 0],
            [88_000, 4_480_000, 0],
            "",
        ),
        ("unit:nginx.service", "nginx", "http2", "OpenSSL 3", "emulated", [0, 31, 0], [0, 9_700_000, 0], ""),
        (
            "unit:payments.service",
            "payments",
            "other",
            "",
            "",
            [0, 0, 3],
            [0, 0, 5_100],
            "neither HTTP nor TLS by its first bytes",
        ),
    ];
    let shares = |[plaintext, decrypted, opaque]: [u64; 3]| Shares { plaintext, decrypted, opaque };
    let view = |(workload, name, protocol, library, attached, connections, bytes, reason): (
        &str,
        &str,
        &str,
        &str,
        &str,
        _,
        _,
        &str,
    )| CoverageView {
        workload: workload.to_owned(),
        name: name.to_owned(),
        protocol: protocol.to_owned(),
        library: library.to_owned(),
        attached: attached.to_owned(),
        connections: shares(connections),
        bytes: shares(bytes),
        reason: reason.to_owned(),
        certificates: String::new(),
        lost: if protocol == "http2" { 16_384 } else { 0 },
    };
    rows.map(view).to_vec()
}

/// A number that looks arbitrary and is the same every time.
fn noise(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 32)
}

fn tick(second: u64) -> Tick {
    let wave = 90 + 60 * (second % 60).abs_diff(30) / 30;
    Tick {
        at: START + second * SECOND,
        calls: wave + noise(second) % 40,
        errors: noise(second + 7) % 9 + if (120..126).contains(&second) { 40 } else { 0 },
        p50_us: 1_800 + noise(second + 11) % 900,
        p99_us: 18_000 + noise(second + 13) % 30_000 + if (120..126).contains(&second) { 400_000 } else { 0 },
    }
}
