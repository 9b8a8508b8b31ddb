use super::super::{Name, Policy, RateLimit, Selector};
use super::*;
use crate::call_log::{AuthScheme, CallLog, IdentityHash, LoggedEndpoint, Notes, Protocol, Vantage};
use crate::policy::guard::WardKind;
use crate::snapshot::{Kind, WorkloadView};
use std::sync::Arc;

const GAP: u64 = 100_000_000;

fn workload(id: &str, name: &str, pid: u32, address: &str) -> WorkloadView {
    let kind = if id.starts_with("external:") { Kind::External } else { Kind::Process };
    WorkloadView {
        id: id.into(),
        name: name.into(),
        kind,
        pid,
        exe: format!("/usr/bin/{name}"),
        command: String::new(),
        user: String::new(),
        unit: String::new(),
        container: String::new(),
        pod_uid: String::new(),
        netns: 1,
        address: address.into(),
        owner: String::new(),
        calls_in: 0,
        calls_out: 0,
    }
}

/// A chunk of calls `(caller, method, path, status, identity)`, one every tenth of a second.
fn chunk(calls: &[(u32, &str, &str, u16, u64)]) -> CallChunk {
    let mut chunk = CallChunk {
        workloads: ["process:orders:8080", "process:cart:80", "external:192.0.2.7"].map(Into::into).into(),
        ..CallChunk::default()
    };
    for (nth, (src, method, path, status, identity)) in calls.iter().enumerate() {
        let endpoint = LoggedEndpoint {
            service: "process:orders:8080".into(),
            protocol: Protocol::Http1,
            method: (*method).into(),
            operation: "".into(),
            path: (*path).into(),
            host: "".into(),
        };
        chunk.endpoints.push(endpoint);
        let path_start = chunk.text.len() as u32;
        chunk.text.push_str(path);
        chunk.rows.push(CallRow {
            at: 1_000_000_000 + nth as u64 * GAP,
            duration: 1,
            ttfb: 1,
            src: *src,
            dst: 0,
            endpoint: nth as u32,
            path_start,
            path_len: path.len() as u16,
            status: *status,
            request_bytes: 1,
            response_bytes: 1,
            notes: Notes::default(),
            vantage: Vantage::Server,
            auth: if *identity == 0 { AuthScheme::None } else { AuthScheme::Bearer },
            identity: (*identity != 0).then_some(IdentityHash(*identity)),
            app_status: None,
            failed: false,
            detail: 0,
        });
    }
    chunk
}

fn snapshot(calls: &[(u32, &str, &str, u16, u64)]) -> Snapshot {
    let chunk = chunk(calls);
    Snapshot {
        workloads: vec![
            workload("external:192.0.2.7", "192.0.2.7", 0, "192.0.2.7"),
            workload("process:cart:80", "cart", 11, "127.0.0.1:80"),
            workload("process:orders:8080", "orders", 12, "0.0.0.0:8080"),
            workload("unit:ssh.service", "sshd", 13, "0.0.0.0:22"),
        ],
        log: CallLog { len: chunk.rows.len(), chunks: vec![Arc::new(chunk)], evicted: 0 },
        ..Snapshot::default()
    }
}

fn policy(scope: serde_json::Value) -> Policy {
    Policy::new(Name::parse("stop").unwrap(), serde_json::from_value(scope).unwrap())
}

fn endpoint() -> Policy {
    policy(
        serde_json::json!({"endpoint": {"service": "orders", "method": "GET", "path": "/api/admin/{any}"}}),
    )
}

#[test]
fn a_replay_tells_who_would_have_been_cut_and_who_looks_legitimate() {
    let mut calls = vec![(1, "GET", "/api/admin/1", 200, 7); 30];
    calls.extend([(1, "POST", "/api/admin/1", 200, 7), (1, "GET", "/api/orders", 200, 7)]);
    let paths: Vec<String> = (0..40).map(|n| format!("/api/admin/{n}")).collect();
    calls.extend(paths.iter().map(|path| (2, "GET", path.as_str(), 404, 0)));
    let snapshot = snapshot(&calls);
    let preview = Preview::of(&endpoint(), &snapshot, &[]);
    assert_eq!((preview.cut, preview.replayed, preview.caller_count, preview.window_s), (70, 72, 2, 8));
    let [scan, cart] = &preview.callers[..] else { panic!("{preview:?}") };
    assert_eq!((scan.id.as_str(), scan.calls, scan.legitimate), ("external:192.0.2.7", 40, false));
    assert_eq!((cart.name.as_str(), cart.calls, cart.of, cart.legitimate), ("cart", 30, 32, true));
    assert!(scan.why.iter().any(|why| why.contains("searched")), "{:?}", scan.why);
    assert_eq!(preview.identities, [IdentityCut { hash: "0000000000000007".into(), calls: 30 }]);
    assert_eq!(
        preview.sentence(),
        "would have cut 70 calls of 72 in 8 s from 2 callers, 1 of which looks legitimate"
    );
    assert_eq!(preview.unknown, [""; 0]);
}

#[test]
fn edges_identities_and_rates_are_replayed() {
    let calls = [(1, "GET", "/a", 200, 7), (2, "GET", "/a", 200, 8), (1, "GET", "/b", 200, 8)];
    let snapshot = snapshot(&calls);
    let cut = |scope| Preview::of(&policy(scope), &snapshot, &[]).cut;
    assert_eq!(cut(serde_json::json!({"edge": {"from": "cart", "to": "orders"}})), 2);
    assert_eq!(cut(serde_json::json!({"edge": {"from": "192.0.2.7", "to": "127.0.0.1:8080"}})), 1);
    assert_eq!(cut(serde_json::json!({"identity": {"hash": "0000000000000008"}})), 2);
    assert_eq!(cut(serde_json::json!({"quarantine": {"workload": "orders", "allow": ["cart"]}})), 1);
    assert_eq!(cut(serde_json::json!({"quarantine": {"workload": "cart"}})), 2);
    let rate = RateLimit::parse("5/s").unwrap();
    let many = vec![(1, "GET", "/a", 200, 7); 100];
    let many = self::snapshot(&many);
    let limit =
        policy(serde_json::json!({"rate": {"service": "orders", "limit": rate.to_string(), "burst": 1}}));
    // Ten a second come, five a second pass.
    assert_eq!(Preview::of(&limit, &many, &[]).cut, 50);
}

#[test]
fn what_must_not_be_cut_is_refused() {
    let snapshot = snapshot(&[]);
    let wards = [
        Ward {
            what: "the operator's ssh session".into(),
            kind: WardKind::Operator,
            pids: vec![13],
            programs: vec!["sshd".into()],
            places: vec!["198.51.100.4:0".parse().unwrap()],
        },
        Ward {
            what: "the API server".into(),
            kind: WardKind::ApiServer,
            pids: Vec::new(),
            programs: Vec::new(),
            places: vec!["10.96.0.1:443".parse().unwrap()],
        },
    ];
    let refused = |scope| {
        let refusals = Preview::of(&policy(scope), &snapshot, &wards).refusals;
        refusals.into_iter().map(|refusal| refusal.what).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(refused(serde_json::json!({"edge": {"from": "cart", "to": "orders"}})), none);
    assert_eq!(
        refused(serde_json::json!({"edge": {"from": "cart", "to": "10.96.0.1:443"}})),
        ["the API server"]
    );
    assert_eq!(refused(serde_json::json!({"edge": {"from": "cart", "to": "10.96.0.1:80"}})), none);
    assert_eq!(
        refused(serde_json::json!({"edge": {"from": "198.51.100.4", "to": "orders"}})),
        [wards[0].what.as_str()]
    );
    assert_eq!(
        refused(serde_json::json!({"quarantine": {"workload": "ssh.service"}})),
        [wards[0].what.as_str()]
    );
    assert_eq!(
        refused(serde_json::json!({"quarantine": {"workload": "cart", "cutOperator": true}})),
        [wards[0].what.as_str()]
    );
    assert_eq!(refused(serde_json::json!({"quarantine": {"workload": "cart", "allow": ["sshd"]}})), none);
    // Nobody of this name was seen, and it is one of ours all the same.
    assert_eq!(refused(serde_json::json!({"quarantine": {"workload": "sshd"}})), [wards[0].what.as_str()]);
}

#[test]
fn what_cannot_be_enforced_inline_is_said() {
    let mut snapshot = snapshot(&[]);
    let preview = Preview::of(&endpoint(), &snapshot, &[]);
    assert!(preview.limits[0].contains("no call to orders was seen yet"), "{:?}", preview.limits);
    assert_eq!(preview.measures.len(), 1);
    assert!(preview.measures[0].to_string().contains("process:orders:8080 (pid 12, 0.0.0.0:8080)"));
    snapshot.capture.coverage.push(crate::coverage::CoverageView {
        workload: "process:orders:8080".into(),
        protocol: "tls".into(),
        connections: crate::coverage::Shares { plaintext: 0, decrypted: 3, opaque: 0 },
        ..Default::default()
    });
    let preview = Preview::of(&endpoint(), &snapshot, &[]);
    assert!(
        preview.limits.iter().any(|limit| limit.contains("over TLS is known after")),
        "{:?}",
        preview.limits
    );
    assert!(preview.measures.iter().all(|measure| measure.when == super::super::measure::When::Reactive));
}

#[test]
fn nobody_is_said_to_be_nobody() {
    let scope = serde_json::json!({"edge": {"from": "nobody", "to": "orders"}});
    assert_eq!(Preview::of(&policy(scope), &snapshot(&[]), &[]).unknown, ["from nobody"]);
    assert!(Selector::parse("nobody").is_ok());
}
