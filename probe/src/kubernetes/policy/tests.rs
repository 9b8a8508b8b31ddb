use super::{Hand, changes, edits, plan, take_back};
use crate::kubernetes::api::{list, refusal, server};
use apisec_engine::policy::Policy;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

fn policy(backend: &str, scope: &Value) -> Policy {
    serde_json::from_value(
        json!({"apiVersion": "apisec-top/1", "kind": "Policy", "metadata": {"name": "stop"},
        "spec": {"scope": scope, "backend": backend}}),
    )
    .unwrap()
}

fn hand() -> Hand {
    Hand { namespace: "shop".into(), run: "0a1b2c3d".into(), by: "jo@laptop".into(), image: "busybox".into() }
}

#[test]
fn changes_are_lines() {
    let (now, then) =
        (json!({"a": 1, "b": [{"c": 1}], "d": "x"}), json!({"a": 2, "b": [{"c": 1}, {"e": []}]}));
    assert_eq!(
        changes::between(&now, &then),
        ["- spec.a: 1", "+ spec.a: 2", "+ spec.b[1].e: []", "- spec.d: \"x\""]
    );
    assert_eq!(
        changes::between(&Value::Null, &json!({"a": {"b": "\u{1b}[2J"}})),
        ["+ spec.a.b: \"\\u001b[2J\""]
    );
}

#[test]
fn what_the_server_drops_is_found() {
    let wanted = json!({"enableDefaultDeny": {"ingress": false}, "ingress": [{"from": []}]});
    assert_eq!(changes::missing(&wanted, &wanted, "spec"), Vec::<String>::new());
    let found = json!({"ingress": [{}], "more": 1});
    assert_eq!(changes::missing(&wanted, &found, "spec"), ["spec.enableDefaultDeny"]);
}

#[test]
fn edits_are_those_of_others_and_of_no_status() {
    let entry = |manager: &str, sub: &str, fields: Value| json!({"manager": manager, "operation": "Update", "subresource": sub, "fieldsType": "FieldsV1", "fieldsV1": fields});
    let object: DynamicObject = serde_json::from_value(json!({"apiVersion": "x/v1", "kind": "X", "metadata": {"managedFields": [
        entry("apisec-top", "", json!({"f:spec": {"f:a": {}}})),
        entry("controller", "status", json!({"f:status": {"f:b": {}}})),
        entry("controller", "", json!({"f:status": {"f:b": {}}})),
        entry("kubectl-edit\u{7}", "", json!({"f:spec": {"f:ports": {"k:{\"port\":1}": {".": {}, "f:name": {}}}}})),
    ]}}))
    .unwrap();
    let found = edits::of(&object);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].manager, "kubectl-edit ");
    assert_eq!(found[0].fields, [".spec.ports[k:{\"port\":1}].name"]);
}

/// An API server with a deployment `cart`, a service `orders`, and what `more` answers.
fn shop(
    more: impl Fn(&str, &str, &Value) -> Option<(u16, Value)> + Send + 'static,
) -> crate::kubernetes::access::Cluster {
    server(move |method, path, body| {
        if let Some(answer) = more(method, path, body) {
            return answer;
        }
        match path.split('?').next().unwrap_or_default() {
            "/api/v1/namespaces/shop/services/orders" => (
                200,
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "orders"},
                    "spec": {"selector": {"app": "orders"}, "ports": [{"port": 80, "targetPort": "web"}]}}),
            ),
            "/apis/apps/v1/namespaces/shop/deployments/cart" => (
                200,
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"},
                    "spec": {"selector": {"matchLabels": {"app": "cart"}}, "template": {}}}),
            ),
            "/api/v1/namespaces/shop/pods" => {
                list(&[json!({"metadata": {"name": "p", "labels": {"app": "orders", "x": "1"}},
                "spec": {"serviceAccountName": "sa", "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}]}})])
            }
            "/api/v1/nodes" => {
                list(&[json!({"metadata": {"name": "n"}, "spec": {"podCIDR": "10.244.0.0/24"}})])
            }
            "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies" => list(&[]),
            "/apis/cilium.io/v2/namespaces/shop/ciliumnetworkpolicies/apisec-stop" if method == "PATCH" => {
                // An older version does not know the field.
                let mut object = body.clone();
                object["spec"].as_object_mut().unwrap().remove("enableDefaultDeny");
                (200, object)
            }
            _ if method == "PATCH" => (200, body.clone()),
            _ => refusal(404, "not found"),
        }
    })
}

fn edge() -> Value {
    json!({"edge": {"from": "deployment:cart", "to": "shop/orders"}})
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn a_plan_is_a_dry_run_with_our_manager_and_never_forced() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let made = block(async {
        let cluster = shop(move |method, path, _| {
            if method != "GET" {
                seen.lock().unwrap().push(format!("{method} {path}"));
            }
            None
        });
        plan(&cluster, &policy("networkpolicy", &edge()), &hand()).await
    })
    .unwrap();
    let asked = asked.lock().unwrap();
    let [only] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(
        only.contains("dryRun=All")
            && only.contains("fieldManager=apisec-top")
            && !only.contains("force=true"),
        "{only}"
    );
    assert_eq!(made.object["spec"]["podSelector"]["matchLabels"], json!({"app": "orders"}));
    assert_eq!(made.object["metadata"]["labels"]["apisec-top/run"], "0a1b2c3d");
    assert!(made.changes.iter().any(|line| line.starts_with("+ spec.podSelector")), "{:?}", made.changes);
    assert!(made.doubts.iter().any(|doubt| doubt.contains("not known")), "{:?}", made.doubts);
}

#[test]
fn a_field_that_the_server_drops_stops_it() {
    let refused =
        block(async { plan(&shop(|_, _, _| None), &policy("cilium", &edge()), &hand()).await }).unwrap_err();
    assert!(refused.what.contains("spec.enableDefaultDeny"), "{}", refused.what);
}

#[test]
fn conflicts_and_foreign_objects_stop_it() {
    let conflict = |method: &str, _: &str, _: &Value| {
        (method == "PATCH")
            .then(|| refusal(409, "Apply failed with 1 conflict: conflict with \"argocd\": .spec.ingress"))
    };
    let refused =
        block(async { plan(&shop(conflict), &policy("networkpolicy", &edge()), &hand()).await }).unwrap_err();
    assert!(refused.what.contains("argocd") && refused.remedy.contains("never forced"), "{refused:?}");
    let theirs = |method: &str, path: &str, _: &Value| {
        (method == "GET" && path.ends_with("networkpolicies/apisec-stop")).then(|| {
            (200, json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "apisec-stop"}, "spec": {}}))
        })
    };
    let refused =
        block(async { plan(&shop(theirs), &policy("networkpolicy", &edge()), &hand()).await }).unwrap_err();
    assert!(refused.what.contains("not ours"), "{refused:?}");
    let refused = block(async { take_back(&shop(theirs), "stop", "shop", true).await }).unwrap_err();
    assert!(refused.what.contains("there is no policy stop"), "{refused:?}");
    let nobody = policy("networkpolicy", &json!({"quarantine": {"workload": "nobody"}}));
    let refused = block(async { plan(&shop(|_, _, _| None), &nobody, &hand()).await }).unwrap_err();
    assert!(refused.what.contains("nobody in shop"), "{refused:?}");
}
