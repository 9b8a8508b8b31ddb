use super::{BACKENDS, Backend, Ground, Job, Manifest, Party, Pods, Unsayable, object_name};
use crate::policy::Policy;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn pods(namespace: &str, labels: &[(&str, &str)]) -> Pods {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Pods { namespace: namespace.into(), labels, account: "cart".into(), ports: vec![8080] }
}

fn policy(backend: &str, scope: &Value) -> Policy {
    serde_json::from_value(
        json!({"apiVersion": "apisec-top/1", "kind": "Policy", "metadata": {"name": "stop"},
        "spec": {"scope": scope, "backend": backend, "reason": "finding 17"}}),
    )
    .unwrap()
}

fn render(
    backend: &str,
    scope: &Value,
    from: Option<&Party>,
    allow: &[Party],
    ground: &Ground,
) -> Result<Manifest, Unsayable> {
    let policy = policy(backend, scope);
    let target = pods("shop", &[("app", "orders")]);
    Backend::of(&policy).unwrap().manifest(&Job { policy: &policy, target: &target, from, allow, ground })
}

fn ground() -> Ground {
    Ground { pod_networks: vec!["10.244.0.0/16".into()], ..Ground::default() }
}

const EDGE: fn() -> Value = || json!({"edge": {"from": "cart", "to": "orders"}});

/// Whether a NetworkPolicy's `from` lets pods with these labels in, as the API documents it.
fn lets_in(peers: &Value, namespace: &str, labels: &BTreeMap<&str, &str>) -> bool {
    let spaces = BTreeMap::from([("kubernetes.io/metadata.name", namespace)]);
    let fits = |selector: &Value, of: &BTreeMap<&str, &str>| {
        let every = |one: &Value| {
            let value = of.get(one["key"].as_str().unwrap());
            let among = value.is_some_and(|value| one["values"].as_array().unwrap().contains(&json!(value)));
            among == (one["operator"] == "In")
        };
        let labels = selector["matchLabels"].as_object();
        let same = labels.is_none_or(|all| {
            all.iter().all(|(key, value)| of.get(key.as_str()).is_some_and(|v| value == v))
        });
        same && selector["matchExpressions"].as_array().is_none_or(|all| all.iter().all(every))
    };
    peers.as_array().unwrap().iter().any(|peer| {
        let Some(where_) = peer.get("namespaceSelector") else { return false };
        fits(where_, &spaces) && peer.get("podSelector").is_none_or(|selector| fits(selector, labels))
    })
}

#[test]
fn a_network_policy_allows_all_others_and_not_the_caller() {
    let caller = Party::Pods(pods("shop", &[("app", "cart"), ("tier", "web")]));
    let made = render("networkpolicy", &EDGE(), Some(&caller), &[], &ground()).unwrap();
    let spec = &made.object["spec"];
    assert_eq!(spec["podSelector"]["matchLabels"], json!({"app": "orders"}));
    let peers = &spec["ingress"][0]["from"];
    let of = |pairs: &[(&'static str, &'static str)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
    assert!(!lets_in(peers, "shop", &of(&[("app", "cart"), ("tier", "web"), ("pod-template-hash", "x")])));
    assert!(lets_in(peers, "shop", &of(&[("app", "cart"), ("tier", "db")])));
    assert!(lets_in(peers, "shop", &of(&[("app", "cart")])));
    assert!(lets_in(peers, "shop", &of(&[])));
    assert!(lets_in(peers, "other", &of(&[("app", "cart"), ("tier", "web")])));
    // Nor by the address of its pods.
    let blocks: Vec<&Value> =
        peers.as_array().unwrap().iter().filter_map(|peer| peer.get("ipBlock")).collect();
    assert!(blocks.contains(&&json!({"cidr": "0.0.0.0/0", "except": ["10.244.0.0/16"]})));
    assert!(made.notes.iter().any(|note| note.starts_with("allow-list")), "{:?}", made.notes);
}

#[test]
fn a_network_policy_is_refused_where_it_would_open_what_another_closes() {
    let caller = Party::Pods(pods("shop", &[("app", "cart")]));
    let ground = Ground { selected_by: vec!["shop/default-deny".into()], ..ground() };
    let refused = render("networkpolicy", &EDGE(), Some(&caller), &[], &ground).unwrap_err();
    assert!(refused.why.contains("shop/default-deny"), "{refused:?}");
    // A quarantine opens nothing; what the other allows stays, and is said to.
    let quarantine = json!({"quarantine": {"workload": "orders"}});
    let made = render("networkpolicy", &quarantine, None, &[], &ground).unwrap();
    assert!(made.notes.iter().any(|note| note.contains("shop/default-deny")));
}

#[test]
fn a_quarantine_allows_only_its_list() {
    let quarantine = json!({"quarantine": {"workload": "orders", "allow": ["audit"], "cutDns": true}});
    let allowed =
        [Party::Pods(pods("ops", &[("app", "audit")])), Party::Address("192.0.2.7".parse().unwrap())];
    let made = render("networkpolicy", &quarantine, None, &allowed, &ground()).unwrap();
    let spec = &made.object["spec"];
    assert_eq!(spec["egress"][0]["to"], spec["ingress"][0]["from"]);
    assert_eq!(spec["egress"].as_array().unwrap().len(), 1);
    assert_eq!(spec["ingress"][0]["from"][1]["ipBlock"]["cidr"], "192.0.2.7/32");
    let nobody = json!({"quarantine": {"workload": "orders", "cutDns": true}});
    let made = render("networkpolicy", &nobody, None, &[], &ground()).unwrap();
    assert_eq!((&made.object["spec"]["ingress"], &made.object["spec"]["egress"]), (&json!([]), &json!([])));
    let made = render("cilium", &nobody, None, &[], &ground()).unwrap();
    assert_eq!(
        (&made.object["spec"]["ingress"], &made.object["spec"]["egress"]),
        (&json!([{}]), &json!([{}]))
    );
    let made = render("kubearmor", &nobody, None, &[], &ground()).unwrap();
    assert_eq!(made.object["spec"]["action"], "Block");
    assert!(render("kubearmor", &quarantine, None, &allowed, &ground()).is_err());
    assert!(render("istio", &nobody, None, &[], &ground()).is_err());
}

#[test]
fn cilium_refuses_a_caller_and_nobody_else() {
    let caller = Party::Pods(pods("web", &[("app", "cart")]));
    let made = render("cilium", &EDGE(), Some(&caller), &[], &ground()).unwrap();
    let spec = &made.object["spec"];
    assert_eq!(spec["enableDefaultDeny"], json!({"ingress": false, "egress": false}));
    let matched = &spec["ingressDeny"][0]["fromEndpoints"][0]["matchLabels"];
    assert_eq!(*matched, json!({"k8s:app": "cart", "k8s:io.kubernetes.pod.namespace": "web"}));
    assert!(spec.get("ingress").is_none());
}

#[test]
fn cilium_has_an_allow_list_for_requests_and_says_so() {
    let scope = json!({"endpoint": {"service": "orders", "method": "GET", "path": "/admin/{any}"}});
    let row = |method: &str, path: &str| (method.to_owned(), path.to_owned());
    let observed = vec![
        row("GET", "/admin/{id}"),
        row("GET", "/admin/export.json"),
        row("POST", "/admin/{id}"),
        row("GET", "/a.b/{id}"),
    ];
    let ground = Ground { observed, ..ground() };
    let made = render("cilium", &scope, None, &[], &ground).unwrap();
    let port = &made.object["spec"]["ingress"][0]["toPorts"][0];
    assert_eq!(port["ports"], json!([{"port": "8080", "protocol": "TCP"}]));
    let paths: Vec<_> = port["rules"]["http"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| (&rule["method"], &rule["path"]))
        .collect();
    let expected = [(json!("GET"), json!(r"/a\.b/[^/]+/?")), (json!("POST"), json!("/admin/[^/]+/?"))];
    assert_eq!(paths, expected.iter().map(|(method, path)| (method, path)).collect::<Vec<_>>());
    assert!(made.notes[0].starts_with("allow-list: only the 2 operations"), "{:?}", made.notes);
    assert!(render("cilium", &scope, None, &[], &super::tests::ground()).is_err());
}

#[test]
fn istio_refuses_requests_by_method_path_and_certificate() {
    let scope = json!({"endpoint": {"service": "orders", "method": "GET", "path": "/files/{id}/{rest*}", "from": "cart"}});
    let caller = Party::Pods(pods("web", &[("app", "cart")]));
    let made = render("istio", &scope, Some(&caller), &[], &ground()).unwrap();
    assert_eq!(
        made.object["spec"],
        json!({"selector": {"matchLabels": {"app": "orders"}}, "action": "DENY", "rules": [{
            "from": [{"source": {"principals": ["cluster.local/ns/web/sa/cart"]}}],
            "to": [{"operation": {"methods": ["GET", "HEAD"], "paths": ["/files/{*}", "/files/{*}/{**}"]}}]}]})
    );
    let odd = json!({"endpoint": {"service": "orders", "path": "/a*b"}});
    assert!(render("istio", &odd, None, &[], &ground()).unwrap_err().why.contains("template"));
    let rate = json!({"rate": {"service": "orders", "limit": "10/s"}});
    for backend in ["networkpolicy", "cilium", "istio", "kubearmor"] {
        assert!(
            render(backend, &rate, None, &[], &ground()).unwrap_err().instead.contains("ebpf"),
            "{backend}"
        );
    }
}

#[test]
fn every_object_bears_what_it_is_and_selects_no_whole_namespace() {
    let quarantine = json!({"quarantine": {"workload": "orders"}});
    for backend in BACKENDS.iter().filter(|backend| backend.kind != "AuthorizationPolicy") {
        let made = render(backend.name.word(), &quarantine, None, &[], &ground()).unwrap();
        let meta = &made.object["metadata"];
        assert_eq!((&meta["name"], &meta["namespace"]), (&json!("apisec-stop"), &json!("shop")));
        assert_eq!(
            meta["labels"],
            json!({"app.kubernetes.io/managed-by": "kubectl-apisec", "apisec-top/policy": "stop"})
        );
        assert_eq!(meta["annotations"]["apisec-top/reason"], "finding 17");
        let policy = policy(backend.name.word(), &quarantine);
        let (target, ground) = (Pods { namespace: "shop".into(), ..Pods::default() }, ground());
        let job = Job { policy: &policy, target: &target, from: None, allow: &[], ground: &ground };
        assert!(backend.manifest(&job).unwrap_err().why.contains("whole namespace"));
    }
    assert_eq!(object_name(&"x".repeat(63)).len(), 70);
}
