use super::*;
use crate::kubernetes::api::{list as listed, refusal, server};
use crate::kubernetes::wait;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

fn object(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {
        "namespace": namespace, "name": name, "labels": {RUN: "0a1b2c3d"}, "annotations": {BY: "jo@laptop"}}})
}

/// Jobs only in one namespace, no right to see policies of Cilium, no Istio or KubeArmor.
fn limited(method: &str, path: &str, _: &Value) -> (u16, Value) {
    assert_eq!(method, "GET");
    let path = path.split('?').next().unwrap();
    match path {
        "/apis/batch/v1/namespaces/agents/jobs" => listed(&[object("agents", "apisec-0a1b2c3d-0")]),
        "/apis/networking.k8s.io/v1/networkpolicies" | "/api/v1/pods" | "/api/v1/namespaces" => listed(&[]),
        "/apis/batch/v1/jobs" => refusal(403, "jobs.batch is forbidden"),
        path if path.contains("cilium") => refusal(403, "ciliumnetworkpolicies.cilium.io is forbidden"),
        _ => refusal(404, "the server could not find the requested resource"),
    }
}

#[test]
fn what_could_not_be_looked_for_is_said() {
    let found = wait(async { Ok(find(&server(limited), "agents").await) }).unwrap();
    let [job] = found.objects.as_slice() else { panic!("{found:?}") };
    assert_eq!((job.run.as_str(), job.by.as_str()), ("0a1b2c3d", "jo@laptop"));
    assert_eq!(job.path(), "jobs.batch/apisec-0a1b2c3d-0 -n agents");
    let [policies, jobs] = found.unseen.as_slice() else { panic!("{found:?}") };
    assert!(policies.starts_with("ciliumnetworkpolicies") && policies.contains("forbidden"), "{policies}");
    assert_eq!(jobs, "jobs outside the namespace agents");
}

/// What is there, by path.
type Kept = Arc<Mutex<Vec<String>>>;

/// Keeps what is there, by path, and takes away what is deleted.
fn keeping(objects: &[&str]) -> (Kept, impl Fn(&str, &str, &Value) -> (u16, Value) + Send + use<>) {
    let there = Arc::new(Mutex::new(objects.iter().map(ToString::to_string).collect::<Vec<_>>()));
    let kept = there.clone();
    let answer = move |method: &str, path: &str, _: &Value| {
        let path = path.split('?').next().unwrap();
        let mut there = kept.lock().unwrap();
        let of = |path: &str| {
            let (before, name) = path.rsplit_once('/').unwrap();
            let namespace =
                before.rsplit_once('/').map_or("", |(before, _)| before.rsplit('/').next().unwrap());
            object(namespace, name)
        };
        match (method, there.iter().position(|one| one == path)) {
            ("DELETE", Some(at)) => {
                there.remove(at);
                (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 200}))
            }
            ("GET", Some(_)) => (200, of(path)),
            ("GET", None) if matches!(path.rsplit('/').next().unwrap(), "jobs" | "pods" | "namespaces") => {
                let below: Vec<Value> = there
                    .iter()
                    .filter(|one| one.rsplit_once('/').unwrap().0 == path)
                    .map(|one| of(one))
                    .collect();
                listed(&below)
            }
            _ => refusal(404, "not found"),
        }
    };
    (there, answer)
}

#[test]
fn a_run_takes_away_its_jobs_and_the_namespace_that_is_empty_then() {
    let jobs = [
        "/apis/batch/v1/namespaces/agents/jobs/apisec-0a1b2c3d-0",
        "/apis/batch/v1/namespaces/agents/jobs/apisec-0a1b2c3d-1",
    ];
    let home = "/api/v1/namespaces/agents";
    let (there, answer) = keeping(&[jobs[0], jobs[1], home]);
    wait(async { run_of(&server(answer), "agents", "0a1b2c3d").await }).unwrap();
    assert_eq!(*there.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_namespace_in_which_somebody_lives_stays() {
    let (there, answer) =
        keeping(&["/api/v1/namespaces/agents", "/api/v1/namespaces/agents/pods/of-somebody"]);
    let home = Leftover::of(KINDS[6], serde_json::from_value(json!({"name": "agents"})).unwrap());
    assert!(home.is_home());
    wait(async { clean(&server(answer), std::slice::from_ref(&home)).await }).unwrap();
    assert_eq!(there.lock().unwrap().len(), 2);
}
