//! Policies as objects of a cluster: what `kubectl apisec policy` makes, seen by the real `kubectl`.
//!
//! That the object goes with its job is garbage collection: of the cluster of the tests here, and claimed of Kubernetes
//! only where a real one was tried.

use std::process::Output;
use std::time::Duration;

use apisec_tests::eventually;
use apisec_tests::kubernetes::Cluster;
use apisec_tests::skip::have_programs;
use apisec_tests::tool;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(180);

struct Shop(Cluster);

impl Shop {
    /// A cluster with a node on paper, a service `orders` and a deployment `cart`; its network is Calico.
    fn open() -> Self {
        let shop = Self(Cluster::start().unwrap());
        shop.0.order(&json!({"do": "node", "name": "n0"})).unwrap();
        for (name, namespace, labels) in [
            ("orders", "default", json!({"app": "orders"})),
            ("calico", "kube-system", json!({"k8s-app": "calico-node"})),
        ] {
            shop.make(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": {"containers": [{"name": "c", "image": "x"}]}}));
        }
        shop.make(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "orders", "namespace": "default"},
            "spec": {"selector": {"app": "orders"}, "ports": [{"port": 80, "targetPort": 8080}]}}));
        shop.make(&json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "cart"}}, "template": {"metadata": {"labels": {"app": "cart"}},
                "spec": {"containers": [{"name": "c", "image": "x"}]}}}}));
        shop
    }

    fn make(&self, object: &Value) {
        self.0.order(&json!({"do": "apply", "object": object})).unwrap();
    }

    fn tool(&self, arguments: &[&str]) -> Output {
        let mut command = tool::command(&[&["kube", "policy"][..], arguments].concat()).unwrap();
        command.env("KUBECONFIG", self.0.kubeconfig()).output().unwrap()
    }

    /// Applies a policy; what it says, and whether it did.
    fn apply(&self, backend: &str, scope: &Value, ttl: &str, more: &[&str]) -> (bool, String) {
        let policy = json!({"apiVersion": "apisec-top/1", "kind": "Policy", "metadata": {"name": "stop"},
            "spec": {"scope": scope, "backend": backend, "ttl": ttl, "reason": "finding 17"}});
        let file = self.0.file("policy.yaml", &policy).unwrap();
        let output = self.tool(&[&["apply", &file][..], more].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn names(&self, kinds: &str) -> String {
        self.0.ask(&["get", kinds, "-l", "apisec-top/policy", "-o", "name"]).unwrap()
    }
}

fn edge() -> Value {
    json!({"edge": {"from": "deployment:cart", "to": "service:orders"}})
}

#[test]
fn a_policy_is_shown_applied_restored_and_gone_with_its_job() {
    let name = "cluster_policy::a_policy_is_shown_applied_restored_and_gone_with_its_job";
    if !have_programs(name, &["kubectl", "python3"]) {
        return;
    }
    let shop = Shop::open();
    let (done, said) = shop.apply("networkpolicy", &edge(), "1h", &["--dry-run"]);
    assert!(done && said.contains("+ spec.podSelector") && said.contains("allow-list"), "{said}");
    assert_eq!(shop.names("netpol,jobs"), "", "a dry run makes nothing");
    let (done, said) = shop.apply("networkpolicy", &edge(), "1h", &["--yes"]);
    assert!(done && said.contains("is in force"), "{said}");
    let spec = || shop.0.ask(&["get", "netpol", "apisec-stop", "-o", "jsonpath={.spec}"]).unwrap();
    let first = spec();
    let owner = ["get", "netpol", "apisec-stop", "-o", "jsonpath={.metadata.ownerReferences[0].kind}"];
    assert_eq!(shop.0.ask(&owner).unwrap(), "Job");

    // Another one of the same name takes its place, and taking that back puts the first one back.
    let (done, said) =
        shop.apply("networkpolicy", &json!({"quarantine": {"workload": "orders"}}), "1h", &["--yes"]);
    assert!(done && said.contains("- spec.ingress"), "{said}");
    assert_ne!(spec(), first);
    let back = shop.tool(&["rollback", "stop"]);
    assert!(String::from_utf8_lossy(&back.stdout).contains("is what it was before"), "{back:?}");
    assert_eq!(spec(), first);

    // What others changed is no more taken away silently.
    let patch = r#"{"spec":{"policyTypes":["Ingress","Egress"]}}"#;
    shop.0
        .ask(&["patch", "netpol", "apisec-stop", "--type=merge", "--field-manager=jo", "-p", patch])
        .unwrap();
    let (done, said) = shop.apply("networkpolicy", &edge(), "1h", &["--yes"]);
    assert!(!done && said.contains("conflict with \"jo\"") && said.contains("never forced"), "{said}");
    let listed = shop.tool(&["list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("jo changed .spec.policyTypes"), "{listed:?}");
    let kept = shop.tool(&["rollback", "stop"]);
    assert!(
        !kept.status.success() && String::from_utf8_lossy(&kept.stderr).contains("was changed by jo"),
        "{kept:?}"
    );
    assert!(shop.tool(&["rollback", "stop", "--force"]).status.success());
    assert_eq!(shop.names("netpol,jobs"), "");

    // Nobody takes this one back.
    assert!(shop.apply("networkpolicy", &edge(), "3s", &["--yes"]).0);
    eventually("its end", PATIENCE, || shop.names("netpol,jobs").is_empty().then_some(())).unwrap();
}

#[test]
fn what_nobody_enforces_is_said_and_what_would_open_something_refused() {
    let name = "cluster_policy::what_nobody_enforces_is_said_and_what_would_open_something_refused";
    if !have_programs(name, &["kubectl", "python3"]) {
        return;
    }
    let shop = Shop::open();
    // There is no such kind here, until its definition comes; and then nobody enforces it.
    let (done, said) =
        shop.apply("kubearmor", &json!({"quarantine": {"workload": "orders"}}), "1h", &["--yes"]);
    assert!(!done && said.contains("has no KubeArmorPolicy"), "{said}");
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    for (group, version, kind, plural, spec) in [
        ("security.kubearmor.com", "v1", "KubeArmorPolicy", "kubearmorpolicies", open.clone()),
        ("security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies", open),
        // One of Cilium before 1.16.
        (
            "cilium.io",
            "v2",
            "CiliumNetworkPolicy",
            "ciliumnetworkpolicies",
            json!({"type": "object", "properties": {
            "endpointSelector": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "ingressDeny": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}),
        ),
    ] {
        let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}});
        shop.make(&json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                "versions": [{"name": version, "served": true, "storage": true, "schema": schema}]}}));
    }
    let (done, said) =
        shop.apply("kubearmor", &json!({"quarantine": {"workload": "orders"}}), "1h", &["--yes"]);
    assert!(!done && said.contains("KubeArmor runs nowhere"), "{said}");
    let request = json!({"endpoint": {"service": "orders", "method": "GET", "path": "/admin/{any}"}});
    let (done, said) = shop.apply("istio", &request, "1h", &["--yes"]);
    assert!(!done && said.contains("1 of 1 pods have no proxy of Istio"), "{said}");
    let (done, said) = shop.apply("cilium", &edge(), "1h", &["--yes"]);
    assert!(!done && said.contains("drops spec.enableDefaultDeny"), "{said}");
    assert_eq!(shop.names("netpol,kubearmorpolicies,authorizationpolicies,ciliumnetworkpolicies,jobs"), "");
    // Somebody who wants it all the same gets it.
    let (done, said) = shop.apply("istio", &request, "forever", &["--yes", "--force"]);
    assert!(done && said.contains("NOT ENFORCED?"), "{said}");
    let paths = [
        "get",
        "authorizationpolicy",
        "apisec-stop",
        "-o",
        "jsonpath={.spec.rules[0].to[0].operation.paths}",
    ];
    assert_eq!(shop.0.ask(&paths).unwrap(), r#"["/admin/{*}","/admin/{*}/"]"#);
    assert!(shop.tool(&["rollback", "stop"]).status.success());
    assert_eq!(shop.names("authorizationpolicies,jobs"), "");

    shop.make(&json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": "default"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}));
    let (done, said) = shop.apply("networkpolicy", &edge(), "1h", &["--yes"]);
    assert!(!done && said.contains("the NetworkPolicy closed selects these pods too"), "{said}");
    assert_eq!(shop.names("netpol,jobs"), "");
}
