use super::*;
use crate::kubernetes::api::{list, refusal, server};
use crate::kubernetes::wait;
use serde_json::{Value, json};

fn asked_for(body: &Value) -> (String, String) {
    let attributes = &body["spec"]["resourceAttributes"];
    let sub = attributes["subresource"].as_str().map(|sub| format!("/{sub}")).unwrap_or_default();
    (
        format!("{}{sub}", attributes["resource"].as_str().unwrap()),
        attributes["verb"].as_str().unwrap().to_owned(),
    )
}

fn healthy(method: &str, path: &str, body: &Value) -> (u16, Value) {
    match (method, path.split('?').next().unwrap()) {
        ("GET", "/version") => (
            200,
            json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "",
            "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}),
        ),
        ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews") => {
            (201, json!({"metadata": {}, "status": {"userInfo": {"username": "jo"}}}))
        }
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews") => {
            let (resource, verb) = asked_for(body);
            let refused = (resource.as_str(), verb.as_str()) == ("pods/exec", "create")
                || resource == "jobs"
                    && body["spec"]["resourceAttributes"]["namespace"].is_null()
                    && verb == "create";
            (201, json!({"metadata": {}, "spec": body["spec"], "status": {"allowed": !refused}}))
        }
        ("POST", "/api/v1/namespaces/agents/pods") => {
            assert!(path.contains("dryRun=All"), "{path}");
            refusal(403, "pods \"apisec-try\" is forbidden: violates PodSecurity \"restricted:latest\"")
        }
        ("GET", "/api/v1/nodes") => (
            200,
            json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": [
            {"metadata": {"name": "a", "annotations": {"flannel.alpha.coreos.com/backend-type": "vxlan"}}}]}),
        ),
        ("GET", "/apis") => (200, json!({"groups": [{"name": "security.istio.io", "versions": []}]})),
        ("GET", "/api/v1/namespaces/kube-system/pods") => list(&[]),
        other => panic!("nobody should ask {other:?}"),
    }
}

#[test]
fn what_is_missing_is_found_and_printed_exactly() {
    let examined = wait(async { Ok(examine(&server(healthy), "agents").await) }).unwrap();
    let verdicts: Vec<(&str, Verdict)> =
        examined.checks.iter().map(|c| (c.name.as_str(), c.verdict)).collect();
    let expected = [
        ("cluster", Verdict::Good),
        ("user", Verdict::Good),
        ("rights to watch", Verdict::Failed),
        ("rights to specs", Verdict::Good),
        ("rights to enforce", Verdict::Degraded),
        ("pod security", Verdict::Failed),
        ("nodes", Verdict::Good),
        ("network", Verdict::Degraded),
        ("mesh", Verdict::Good),
        ("policy engines", Verdict::Good),
    ];
    assert_eq!(verdicts, expected);
    assert!(
        examined.missing.contains("resources: [\"pods/exec\"]\n  verbs: [\"create\"]\n"),
        "{}",
        examined.missing
    );
    assert_eq!(examined.missing.matches("resources:").count(), 1);
    assert_eq!(examined.missing_beside.matches("resources:").count(), 1);
}

#[test]
fn a_cluster_that_does_not_answer_is_said_once() {
    let silent = |_: &str, _: &str, _: &Value| refusal(503, "not\u{1b}[31m ready");
    let examined = wait(async { Ok(examine(&server(silent), "agents").await) }).unwrap();
    let [only] = examined.checks.as_slice() else { panic!("{examined:?}") };
    assert_eq!(only.verdict, Verdict::Failed);
    assert!(only.what.contains("ready") && !only.what.contains('\u{1b}'), "{only:?}");
}
