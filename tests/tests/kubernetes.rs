//! The cluster of the tests, asked by the real `kubectl`: what rests on it proves nothing if it is wrong itself.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use apisec_tests::eventually;
use apisec_tests::kubernetes::Cluster;
use apisec_tests::netns::Namespace;
use apisec_tests::nodes::Nodes;
use apisec_tests::process::Process;
use apisec_tests::skip::{have_programs, have_root};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);

fn pod(name: &str, node: &str, command: &[&str]) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "c", "image": "any", "command": command}]}})
}

fn running(cluster: &Cluster, pod: &str) {
    let phase = || cluster.ask(&["get", "pod", pod, "-o", "jsonpath={.status.phase}"]).ok();
    eventually("a pod that runs", PATIENCE, || (phase()? == "Running").then_some(())).unwrap();
}

#[test]
fn objects_are_served_and_checked_by_the_published_schemas() {
    if !have_programs("kubernetes::objects_are_served_and_checked_by_the_published_schemas", &["kubectl"]) {
        return;
    }
    let cluster = Cluster::start().unwrap();
    cluster.order(&json!({"do": "node", "name": "paper"})).unwrap();
    assert_eq!(cluster.ask(&["get", "nodes", "-o", "name"]).unwrap(), "node/paper");
    let good = cluster.file("good.json", &pod("good", "paper", &["x"])).unwrap();
    cluster.ask(&["apply", "-f", &good]).unwrap();
    running(&cluster, "good");
    assert!(cluster.ask(&["apply", "-f", &good]).unwrap().contains("unchanged"));
    assert_eq!(
        cluster.ask(&["get", "pods", "-l", "app in (good),app!=x", "-o", "name"]).unwrap(),
        "pod/good"
    );
    let mut wrong = pod("wrong", "paper", &["x"]);
    wrong["spec"]["nodename"] = "typo".into();
    let wrong = cluster.file("wrong.json", &wrong).unwrap();
    let refused = cluster.try_ask(&["create", "-f", &wrong]).unwrap();
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("unknown field \"spec.nodename\""),
        "{refused:?}"
    );
    cluster.ask(&["delete", "pods", "--all", "--now"]).unwrap();
    assert_eq!(cluster.ask(&["get", "pods", "-o", "name"]).unwrap(), "");
}

#[test]
fn managers_of_fields_conflict_and_give_back_what_they_leave() {
    if !have_programs("kubernetes::managers_of_fields_conflict_and_give_back_what_they_leave", &["kubectl"]) {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let policy = |app: &str, labels: Value| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "labels": labels},
            "spec": {"podSelector": {"matchLabels": {"app": app}}, "ingress": []}})
    };
    let apply = |object: &Value, more: &[&str]| {
        let file = cluster.file("policy.json", object).unwrap();
        cluster.try_ask(&[&["apply", "--server-side", "-f", &file][..], more].concat()).unwrap()
    };
    assert!(apply(&policy("a", json!({"x": "1", "y": "1"})), &["--field-manager=one"]).status.success());
    let other = policy("b", json!({"z": "1"}));
    let refused = apply(&other, &["--field-manager=two"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("conflict with \"one\": .spec.podSelector"), "{said}");
    assert!(
        apply(&other, &["--field-manager=two", "--force-conflicts", "--dry-run=server"]).status.success()
    );
    let app = ["get", "netpol", "p", "-o", "jsonpath={.spec.podSelector.matchLabels.app} {.metadata.labels}"];
    assert_eq!(cluster.ask(&app).unwrap(), r#"a {"x":"1","y":"1"}"#);
    assert!(apply(&other, &["--field-manager=two", "--force-conflicts"]).status.success());
    assert_eq!(cluster.ask(&app).unwrap(), r#"b {"x":"1","y":"1","z":"1"}"#);
    // What one manager no longer applies goes; what the other holds stays.
    assert!(apply(&policy("b", json!({"x": "1"})), &["--field-manager=one"]).status.success());
    assert_eq!(cluster.ask(&app).unwrap(), r#"b {"x":"1","z":"1"}"#);
}

#[test]
fn rights_are_those_of_roles_and_pod_security_refuses() {
    if !have_programs("kubernetes::rights_are_those_of_roles_and_pod_security_refuses", &["kubectl"]) {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let eve = cluster.user("eve").unwrap();
    let as_eve = |arguments: &[&str]| cluster.kubectl(arguments).env("KUBECONFIG", &eve).output().unwrap();
    let refused = as_eve(&["get", "pods"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("User \"eve\" cannot list resource \"pods\""));
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"}]});
    for object in [role, binding] {
        cluster.ask(&["apply", "-f", &cluster.file("rights.json", &object).unwrap()]).unwrap();
    }
    assert!(as_eve(&["get", "pods"]).status.success());
    assert!(!as_eve(&["get", "pods", "-n", "kube-system"]).status.success());
    assert!(!as_eve(&["delete", "pod", "x"]).status.success());

    cluster.ask(&["label", "ns", "default", "pod-security.kubernetes.io/enforce=restricted"]).unwrap();
    let file = cluster.file("pod.json", &pod("p", "n", &["x"])).unwrap();
    let refused = cluster.try_ask(&["create", "--dry-run=server", "-f", &file]).unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("violates PodSecurity \"restricted:latest\""));
}

#[test]
fn watches_go_on_after_cuts_and_are_told_when_their_past_is_gone() {
    let name = "kubernetes::watches_go_on_after_cuts_and_are_told_when_their_past_is_gone";
    if !have_programs(name, &["kubectl"]) {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let map = |n: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": n}});
    let make = |n: &str| cluster.order(&json!({"do": "apply", "object": map(n)})).unwrap();
    let first = make("first");
    let version = first["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    let url = |more: &str| format!("/api/v1/namespaces/default/configmaps?watch=true&{more}");
    let mut command = cluster.kubectl(&["get", "--raw", &url("resourceVersion=0&allowWatchBookmarks=true")]);
    let mut watch = Process::start({
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
    })
    .unwrap();
    let mut lines = BufReader::new(watch.child().stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap()).unwrap() };
    assert_eq!(next()["object"]["metadata"]["name"], "first");
    make("second");
    let event = next();
    assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("second")));
    assert_eq!(next()["type"], "BOOKMARK");
    assert_eq!(cluster.order(&json!({"do": "cut", "what": "watch"})).unwrap()["cut"], 1);
    watch.wait(PATIENCE).unwrap();
    cluster.order(&json!({"do": "expire"})).unwrap();
    let told = cluster.ask(&["get", "--raw", &url(&format!("resourceVersion={version}"))]).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["type"], &told["object"]["code"]), (&json!("ERROR"), &json!(410)));
}

#[test]
fn commands_run_in_pods_of_nodes_and_tell_how_they_ended() {
    let name = "kubernetes::commands_run_in_pods_of_nodes_and_tell_how_they_ended";
    if !have_root(name) || !have_programs(name, &["kubectl", "ip", "setpriv"]) {
        return;
    }
    let nodes = Nodes::new().unwrap();
    let cgroup = nodes.nodes[0].cgroup().unwrap().to_owned();
    {
        let cluster = Cluster::start().unwrap();
        for (at, node) in nodes.nodes.iter().enumerate() {
            cluster.node(&format!("n{at}"), node, &Nodes::address(at).to_string()).unwrap();
            let serve = "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' | busybox nc -l -p 80; done";
            let object = pod(&format!("p{at}"), &format!("n{at}"), &["sh", "-c", serve]);
            cluster.ask(&["create", "-f", &cluster.file("pod.json", &object).unwrap()]).unwrap();
        }
        running(&cluster, "p0");
        running(&cluster, "p1");
        let ended =
            cluster.try_ask(&["exec", "p0", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]).unwrap();
        assert_eq!((ended.status.code(), &*ended.stdout), (Some(7), &b"out\n"[..]));
        assert!(String::from_utf8_lossy(&ended.stderr).starts_with("err\n"));
        // Input of several messages arrives whole, and its end is told.
        let mut command = cluster.kubectl(&["exec", "-i", "p0", "--", "sha256sum"]);
        let mut sum = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        sum.stdin.take().unwrap().write_all(&vec![7; 3_000_000]).unwrap();
        let sum = sum.wait_with_output().unwrap();
        // `head -c 3000000 /dev/zero | tr '\0' '\7' | sha256sum`
        let expected = "892f2fe04ec507da2fe21530851fc8c60ae8a0d9b126b61d7168fd5dbb209a1b  -\n";
        assert_eq!(String::from_utf8_lossy(&sum.stdout), expected);
        // Pods of different nodes reach each other over the nodes' bridge.
        let address = cluster.ask(&["get", "pod", "p1", "-o", "jsonpath={.status.podIP}"]).unwrap();
        let answer = || {
            cluster.ask(&["exec", "p0", "--", "busybox", "wget", "-qO-", &format!("http://{address}/")]).ok()
        };
        assert_eq!(eventually("an answer", PATIENCE, answer).unwrap(), "hello");
        let own = cluster.ask(&["exec", "p0", "--", "sh", "-c", "tail -n 1 /proc/self/cgroup"]).unwrap();
        assert!(own.contains("/kubepods.slice/") && own.contains("/cri-containerd-"), "{own}");
        // A node that is cut off runs on and answers nobody.
        cluster.order(&json!({"do": "partition", "node": "n1"})).unwrap();
        let refused = cluster.try_ask(&["exec", "p1", "--", "true"]).unwrap();
        assert!(String::from_utf8_lossy(&refused.stderr).contains("error dialing backend"), "{refused:?}");
        cluster.order(&json!({"do": "heal", "node": "n1"})).unwrap();
        cluster.ask(&["exec", "p1", "--", "true"]).unwrap();
    }
    // It has left nothing on the node.
    let left = fs::read_dir(cgroup).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(left, 0);
}

#[test]
fn a_job_makes_its_pod_and_its_deadline_ends_both() {
    let name = "kubernetes::a_job_makes_its_pod_and_its_deadline_ends_both";
    if !have_root(name) || !have_programs(name, &["kubectl", "ip", "setpriv"]) {
        return;
    }
    let node = Namespace::with_cgroup().unwrap();
    let cluster = Cluster::start().unwrap();
    cluster.node("n0", &node, "10.219.0.1").unwrap();
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {"activeDeadlineSeconds": 4, "backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never", "hostNetwork": true, "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "c", "image": "any", "command": ["sleep", "600"]}]}}}});
    let began = Instant::now();
    cluster.ask(&["create", "-f", &cluster.file("job.json", &job).unwrap()]).unwrap();
    let pods = || cluster.ask(&["get", "pods", "-l", "job-name=j", "-o", "name"]).unwrap();
    eventually("its pod", PATIENCE, || (!pods().is_empty()).then_some(())).unwrap();
    let reason = ["get", "job", "j", "-o", "jsonpath={.status.conditions[0].reason}"];
    let failed = || cluster.ask(&reason).ok().filter(|reason| !reason.is_empty());
    assert_eq!(eventually("its end", PATIENCE, failed).unwrap(), "DeadlineExceeded");
    assert!(began.elapsed() >= Duration::from_secs(4));
    eventually("its pod's end", PATIENCE, || pods().is_empty().then_some(())).unwrap();
    cluster
        .ask(&["patch", "job", "j", "--type=merge", "-p", r#"{"spec":{"ttlSecondsAfterFinished":0}}"#])
        .unwrap();
    let jobs = || cluster.ask(&["get", "jobs", "-o", "name"]).unwrap();
    eventually("the job's end", PATIENCE, || jobs().is_empty().then_some(())).unwrap();
}
