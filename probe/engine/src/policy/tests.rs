use super::*;
use serde_json::json;

fn read(value: serde_json::Value) -> Result<Policy, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn with_scope(scope: &serde_json::Value) -> serde_json::Value {
    json!({"apiVersion": "apisec-top/1", "kind": "Policy", "metadata": {"name": "stop"}, "spec": {"scope": scope}})
}

#[test]
fn every_scope_reads_and_is_described() {
    for (scope, want) in [
        (json!({"edge": {"from": "cart", "to": "orders"}}), "cart → orders"),
        (
            json!({"endpoint": {"service": "orders", "method": "GET", "path": "/api/admin/{any}", "from": "cart"}}),
            "GET /api/admin/{any} at orders from cart",
        ),
        (json!({"endpoint": {"service": "10.0.0.1:80", "path": "/x"}}), "* /x at 10.0.0.1:80"),
        (json!({"identity": {"hash": "00000000000000ab"}}), "identity 00000000000000ab"),
        (
            json!({"rate": {"service": "login", "method": "POST", "path": "/login", "limit": "5/m", "per": "identity"}}),
            "POST /login at login over 5/m per identity",
        ),
        (json!({"quarantine": {"workload": "cart", "allow": ["db"]}}), "all of cart but with db"),
    ] {
        let policy = read(with_scope(&scope)).unwrap();
        assert_eq!(policy.describe(), want);
        assert_eq!(policy.spec.ttl, Ttl::Seconds(900));
        assert_eq!(policy.spec.backend, BackendName::Ebpf);
        let again = read(serde_json::to_value(&policy).unwrap()).unwrap();
        assert_eq!(again, policy);
    }
}

#[test]
fn what_is_wrong_is_named() {
    let wrong = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut value = with_scope(&json!({"edge": {"from": "a", "to": "b"}}));
        edit(&mut value);
        read(value).unwrap_err()
    };
    assert!(wrong(&|value| value["apiVersion"] = json!("apisec-top/2")).contains("apisec-top/1"));
    assert!(wrong(&|value| value["spec"]["tll"] = json!("1m")).contains("tll"));
    assert!(wrong(&|value| value["spec"]["ttl"] = json!("1y")).contains("time to live"));
    assert!(wrong(&|value| value["spec"]["scope"] = json!({"edges": {}})).contains("edges"));
    assert!(wrong(&|value| value["metadata"]["name"] = json!("A b")).contains("lower-case"));
    assert!(wrong(&|value| value["spec"]["scope"]["edge"]["from"] = json!("")).contains("workload"));
    assert!(wrong(&|value| value["spec"]["reason"] = json!("a\nb")).contains("one line"));
}

#[test]
fn selectors_mean_workloads() {
    let means = |text: &str, id: &str, name: &str| Selector::parse(text).unwrap().means(id, name);
    for text in ["process:orders:8080", "orders:8080", "orders", "process:orders"] {
        assert!(means(text, "process:orders:8080", "orders"), "{text}");
    }
    assert!(means("ssh.service", "unit:ssh.service", "sshd"));
    assert!(means("192.0.2.7", "external:192.0.2.7", "192.0.2.7"));
    assert!(!means("orders", "process:orders-db:5432", "orders-db"));
    assert!(!means("order", "process:orders:8080", "orders"));
}

#[test]
fn names_near_a_text() {
    assert_eq!(Name::near("GET /api/{id}").as_str(), "get-api-id");
    assert_eq!(Name::near("///").as_str(), "policy");
    assert!(Name::parse(Name::near(&"ab ".repeat(90)).as_str()).is_ok());
}
