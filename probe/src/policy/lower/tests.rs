use super::*;
use apisec_engine::policy::Name;
use apisec_engine::snapshot::{Kind, WorkloadView};
use std::net::TcpListener;

fn policy(scope: serde_json::Value) -> Policy {
    Policy::new(Name::parse("stop").unwrap(), serde_json::from_value(scope).unwrap())
}

/// This process as the service `orders`, and somebody elsewhere.
fn node(port: u16) -> Snapshot {
    let blank = |id: &str, name: &str, kind, pid, address: String| WorkloadView {
        id: id.into(),
        name: name.into(),
        kind,
        pid,
        exe: String::new(),
        command: String::new(),
        user: String::new(),
        unit: String::new(),
        container: String::new(),
        pod_uid: String::new(),
        netns: 0,
        address,
        owner: String::new(),
        calls_in: 0,
        calls_out: 0,
    };
    let here = std::process::id();
    Snapshot {
        workloads: vec![
            blank("external:192.0.2.7", "192.0.2.7", Kind::External, 0, "192.0.2.7".into()),
            blank(&format!("process:orders:{port}"), "orders", Kind::Process, here, String::new()),
            blank("process:cart", "cart", Kind::Process, 1, String::new()),
        ],
        ..Snapshot::default()
    }
}

#[test]
fn every_scope_becomes_rules() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let node = node(port);
    let here = std::process::id();
    let lower = |scope| {
        let rules = rules(&policy(scope), &node, &[]).unwrap();
        rules.iter().map(words).collect::<Vec<_>>()
    };
    assert_eq!(
        lower(serde_json::json!({"edge": {"from": "cart", "to": "orders"}})),
        [format!("connect pid 1 → 127.0.0.1:{port}: refused")]
    );
    assert_eq!(
        lower(serde_json::json!({"edge": {"from": "192.0.2.7", "to": "orders"}})),
        [format!("* /{{rest*}} of 192.0.2.7 at 127.0.0.1:{port}: 403")]
    );
    let path = "/api/%61dmin/{any}/{rest*}";
    assert_eq!(
        lower(
            serde_json::json!({"endpoint": {"service": "orders", "method": "get", "path": path, "from": "cart"}})
        ),
        [format!("GET /api/admin/{{any}}/{{rest*}} of pid 1 at 127.0.0.1:{port}: 403")]
    );
    assert_eq!(
        lower(serde_json::json!({"rate": {"service": "orders", "limit": "600/m"}})),
        [format!("* /{{rest*}} of anybody at 127.0.0.1:{port}: 403 beyond 10/s (burst 10)")]
    );
    assert_eq!(
        lower(serde_json::json!({"quarantine": {"workload": "orders", "allow": ["cart", "192.0.2.7"]}})),
        [format!(
            "all of pid {here} (listening at 127.0.0.1:{port}) refused but to 192.0.2.7:* and from pid 1, 192.0.2.7"
        )]
    );
}

#[test]
fn what_cannot_be_on_is_an_error() {
    let node = node(1);
    let fails = |scope| rules(&policy(scope), &node, &[]).unwrap_err().to_string();
    assert!(
        fails(serde_json::json!({"edge": {"from": "cart", "to": "nobody"}})).contains("nobody that was seen")
    );
    assert!(fails(serde_json::json!({"endpoint": {"service": "nobody", "path": "/"}})).contains("nobody"));
    assert!(
        fails(serde_json::json!({"endpoint": {"service": "192.0.2.7", "path": "/"}}))
            .contains("not on this node")
    );
    assert!(fails(serde_json::json!({"quarantine": {"workload": "192.0.2.7"}})).contains("not on this node"));
    // All of it is done after the fact.
    let identity = policy(serde_json::json!({"identity": {"hash": "00000000000000ab"}}));
    assert_eq!(rules(&identity, &node, &[]), Ok(Vec::new()));
    let mut policy = policy(serde_json::json!({"edge": {"from": "cart", "to": "orders"}}));
    policy.spec.backend = BackendName::Istio;
    assert!(matches!(rules(&policy, &node, &[]), Err(LowerError::Backend("istio"))));
}

#[test]
fn a_quarantine_leaves_the_operator_and_dns_alone() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = node(socket.local_addr().unwrap().port());
    let ward = |kind, place: &str| Ward {
        what: String::new(),
        kind,
        pids: Vec::new(),
        programs: Vec::new(),
        places: vec![place.parse().unwrap()],
    };
    let wards = [ward(WardKind::Operator, "198.51.100.4:0"), ward(WardKind::Dns, "192.0.2.53:53")];
    let lower = |scope| words(&rules(&policy(scope), &node, &wards).unwrap()[0]);
    let kept = lower(serde_json::json!({"quarantine": {"workload": "orders"}}));
    assert!(kept.contains("but to 198.51.100.4:*, 192.0.2.53:53 and from 198.51.100.4"), "{kept}");
    let cut =
        lower(serde_json::json!({"quarantine": {"workload": "orders", "cutOperator": true, "cutDns": true}}));
    assert!(cut.ends_with("but to nobody and from nobody"), "{cut}");
}
