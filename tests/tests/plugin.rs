//! `kubectl apisec` on a cluster: agents in pods, names from the API server, and nothing left, however it ends.
//!
//! Each test runs on the cluster of the tests or, where it needs no order to it, on the real one that the environment
//! names. Agents share this machine's processes, so that they see the cluster's own server as well: edges are looked
//! up by what the test itself made.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use apisec_engine::node::NodeView;
use apisec_engine::snapshot::Snapshot;
use apisec_tests::eventually;
use apisec_tests::kubernetes::Cluster;
use apisec_tests::nodes::Nodes;
use apisec_tests::skip::{have_programs, have_root};
use apisec_tests::tool::{self, Run, Running};
use apisec_tests::watch::{is_attached, mark};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// How long a machine that is compiling may take to start pods and attach.
const PATIENCE: Duration = Duration::from_secs(180);
const PROGRAMS: &[&str] = &["kubectl", "ip", "setpriv", "busybox", "strip"];
/// Label of everything that the tool makes.
const OURS: &str = "app.kubernetes.io/managed-by=kubectl-apisec";

/// Two nodes, on each a pod that serves and one that asks.
struct World {
    cluster: Cluster,
    nodes: Nodes,
    namespace: String,
}

impl World {
    fn new() -> Self {
        let nodes = Nodes::new().unwrap();
        let cluster = Cluster::start().unwrap();
        for (at, node) in nodes.nodes.iter().enumerate() {
            cluster.node(&format!("n{at}"), node, &Nodes::address(at).to_string()).unwrap();
        }
        let namespace = mark("shop").trim_matches('/').to_lowercase().replace('_', "-");
        let world = Self { cluster, nodes, namespace };
        world.make_namespace(&world.namespace);
        let container = |command: &str| json!([{"name": "c", "image": "docker.io/library/busybox:1.37", "command": ["sh", "-c", command]}]);
        let (selector, labels) = (json!({"app": "web"}), json!({"app": "web", "team": "storefront"}));
        world.create(&json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": selector}, "template": {"metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1,
                    "containers": container("exec busybox httpd -f -p 8080 -h /tmp")}}}}));
        world.create(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asker"},
            "spec": {"nodeName": "n0", "terminationGracePeriodSeconds": 1, "containers": container("exec sleep 3600")}}));
        eventually("pods that run", PATIENCE, || {
            let phases = world.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].status.phase}"]).ok()?;
            (phases == "Running Running Running").then_some(())
        })
        .unwrap();
        world
    }

    /// By a file: what `kubectl` makes itself it sends as Protobuf, which the server of the tests does not read.
    fn make_namespace(&self, name: &str) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let file = self.cluster.file("namespace.json", &object).unwrap();
        self.cluster.ask(&["create", "-f", &file]).unwrap();
    }

    /// Gives a role to a user: everywhere, or in a namespace.
    fn bind(&self, role: &str, user: &str, namespace: Option<&str>) {
        let (kind, of) =
            if namespace.is_some() { ("RoleBinding", "Role") } else { ("ClusterRoleBinding", "ClusterRole") };
        let group = "rbac.authorization.k8s.io";
        let object = json!({"apiVersion": format!("{group}/v1"), "kind": kind,
            "metadata": {"name": role, "namespace": namespace},
            "roleRef": {"apiGroup": group, "kind": of, "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}]});
        let file = self.cluster.file("binding.json", &object).unwrap();
        self.cluster.ask(&["create", "-f", &file]).unwrap();
    }

    fn create(&self, object: &serde_json::Value) {
        let file = self.cluster.file("object.json", object).unwrap();
        self.kubectl(&["create", "-f", &file]).unwrap();
    }

    fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.cluster.ask(&[&["-n", &self.namespace][..], arguments].concat())
    }

    /// Address of the pod that serves on a node.
    fn address(&self, node: &str) -> String {
        let field = format!("spec.nodeName={node}");
        let path = "jsonpath={.items[0].status.podIP}";
        self.kubectl(&["get", "pods", "-l", "app=web", "--field-selector", &field, "-o", path]).unwrap()
    }

    /// The asker asks the server of a node, so many times.
    fn ask(&self, node: &str, times: usize) {
        let url = format!("http://{}:8080/", self.address(node));
        let script =
            format!("for i in $(seq {times}); do busybox wget -qO- {url} >/dev/null 2>&1; done; true");
        self.kubectl(&["exec", "asker", "--", "sh", "-c", &script]).unwrap();
    }

    /// The tool on all nodes, until it is told to end.
    fn watch(&self) -> Running {
        let command =
            self.tool(&["kube", "--all-nodes", "--headless", "--no-state", "--output", "json"], None);
        let running = Running::start_command(command).unwrap();
        self.until_attached();
        running
    }

    fn tool(&self, arguments: &[&str], kubeconfig: Option<&PathBuf>) -> Command {
        let mut command = tool::command(arguments).unwrap();
        command.env_remove("APISEC_TOP_STATE").env_remove("APISEC_TOP_CONFIG");
        command.env("KUBECONFIG", kubeconfig.map_or(self.cluster.kubeconfig(), |path| path));
        if arguments.contains(&"--all-nodes") {
            command.arg("--agent-binary").arg(stripped());
        }
        command
    }

    /// The agent on a node.
    fn agent(&self, node: usize) -> Option<u32> {
        let pods = self.nodes.nodes[node].cgroup()?.join("kubepods.slice/kubepods-burstable.slice");
        let scopes =
            fs::read_dir(pods).ok()?.flatten().filter_map(|pod| fs::read_dir(pod.path()).ok()).flatten();
        let members =
            scopes.flatten().filter_map(|scope| fs::read_to_string(scope.path().join("cgroup.procs")).ok());
        members.flat_map(|text| text.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).find(
            |pid| {
                let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                command.starts_with(b"/opt/apisec/apisec-top\0agent\0")
            },
        )
    }

    fn until_attached(&self) {
        eventually("agents on both nodes", PATIENCE, || {
            let attached = |node| self.agent(node).is_some_and(|pid| is_attached(pid).unwrap_or(false));
            (attached(0) && attached(1)).then_some(())
        })
        .unwrap();
    }

    /// Waits until the agents have told what they have counted so far: each word is a write.
    fn until_reported(&self) {
        for node in 0..2 {
            let words = || -> Option<u64> {
                let io = fs::read_to_string(format!("/proc/{}/io", self.agent(node)?)).ok()?;
                io.lines().find_map(|line| line.strip_prefix("syscw: "))?.trim().parse().ok()
            };
            let before = words().unwrap_or_default();
            eventually("reports", PATIENCE, || (words()? >= before + 8).then_some(())).unwrap();
        }
    }

    fn end(&self, running: Running) -> Snapshot {
        let run = running.interrupt(PATIENCE).unwrap();
        self.nothing_is_left();
        serde_json::from_value(run.json().unwrap()).unwrap()
    }

    fn left(&self) -> String {
        self.cluster.ask(&["get", "jobs,pods,namespaces", "-A", "-l", OURS, "-o", "name"]).unwrap()
    }

    fn nothing_is_left(&self) {
        assert_eq!(self.left(), "");
        assert!(self.agent(0).is_none() && self.agent(1).is_none());
    }

    /// Calls between two workloads of this test.
    fn calls(&self, snapshot: &Snapshot, src: &str, dst: &str) -> u64 {
        let name = |name: &str| format!("{}/{name}", self.namespace);
        let ends = |id: &str, wanted: &str| id.ends_with(&name(wanted));
        let edges = snapshot.edges.iter().filter(|edge| ends(&edge.src, src) && ends(&edge.dst, dst));
        edges.map(|edge| edge.calls).sum()
    }
}

/// The program without what only a debugger reads: it goes over the wire.
fn stripped() -> &'static PathBuf {
    static STRIPPED: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_folder, path) = STRIPPED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apisec-top");
        let strip =
            Command::new("strip").arg("-o").arg(&path).arg(tool::apisec_top().unwrap()).status().unwrap();
        assert!(strip.success());
        (folder, path)
    });
    path
}

fn can_run(name: &str) -> bool {
    let name = format!("plugin::{name}");
    have_root(&name) && have_programs(&name, PROGRAMS)
}

fn run(command: Command) -> Run {
    Running::start_command(command).unwrap().wait(PATIENCE).unwrap()
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
}

fn node<'a>(snapshot: &'a Snapshot, name: &str) -> &'a NodeView {
    snapshot.capture.nodes.iter().find(|node| node.name == name).unwrap()
}

#[test]
fn calls_between_pods_bear_their_names_are_counted_once_and_nothing_is_left() {
    if !can_run("calls_between_pods_bear_their_names_are_counted_once_and_nothing_is_left") {
        return;
    }
    let world = World::new();
    let running = world.watch();
    world.ask("n1", 7);
    world.ask("n0", 4);
    let snapshot = world.end(running);
    let edges: Vec<_> = snapshot.edges.iter().map(|e| (&e.src, &e.dst, e.calls)).collect();
    assert_eq!(world.calls(&snapshot, "asker", "web"), 11, "{edges:?}");
    let asker = format!("pod:{}/asker", world.namespace);
    let web = format!("daemonset:{}/web", world.namespace);
    assert!(snapshot.edges.iter().any(|edge| edge.src == asker && edge.dst == web), "{edges:?}");
    let mut endpoints = snapshot.endpoints.iter().filter(|endpoint| endpoint.service == web);
    assert!(endpoints.all(|endpoint| endpoint.documentation.owner == "storefront"));
    for name in ["n0", "n1"] {
        let NodeView { reports, losses, distrusted, .. } = node(&snapshot, name);
        assert!(*reports > 0 && (*losses, *distrusted) == (0, 0), "{name}");
    }
}

#[test]
fn whatever_is_broken_in_between_is_mended_and_nothing_is_counted_twice() {
    if !can_run("whatever_is_broken_in_between_is_mended_and_nothing_is_counted_twice") {
        return;
    }
    let world = World::new();
    let running = world.watch();
    let mut asked = 0;
    let mut ask = |times: usize| {
        world.ask("n1", times);
        asked += times as u64;
        world.until_reported();
    };
    ask(3);
    // The stream of a kubelet.
    let before = world.agent(1);
    assert!(world.cluster.order(&json!({"do": "cut", "what": "exec"})).unwrap()["cut"].as_u64() > Some(0));
    eventually("another agent", PATIENCE, || (world.agent(1)? != before?).then_some(())).unwrap();
    world.until_attached();
    ask(4);
    // An agent.
    let before = world.agent(1);
    kill(before.unwrap());
    eventually("another agent", PATIENCE, || (world.agent(1)? != before?).then_some(())).unwrap();
    world.until_attached();
    ask(5);
    // The API server, for longer than an agent waits: it ends, and a new one comes.
    let before = world.agent(0);
    world.cluster.order(&json!({"do": "down"})).unwrap();
    eventually("the agents' end", PATIENCE, || {
        (world.agent(0).is_none() && world.agent(1).is_none()).then_some(())
    })
    .unwrap();
    world.cluster.order(&json!({"do": "up"})).unwrap();
    world.until_attached();
    assert_ne!(world.agent(0), before);
    ask(6);
    // What the watches know is forgotten: they list anew, and a new pod gets its name.
    world.cluster.order(&json!({"do": "expire"})).unwrap();
    world.cluster.order(&json!({"do": "cut", "what": "watch"})).unwrap();
    ask(7);
    let snapshot = world.end(running);
    let edges: Vec<_> = snapshot.edges.iter().map(|e| (&e.src, &e.dst, e.calls)).collect();
    assert_eq!(world.calls(&snapshot, "asker", "web"), asked, "{edges:?}");
    assert!(node(&snapshot, "n1").losses >= 3, "{:?}", node(&snapshot, "n1"));
}

#[test]
fn after_a_kill_agents_end_by_themselves_and_the_rest_is_found_and_taken_away() {
    if !can_run("after_a_kill_agents_end_by_themselves_and_the_rest_is_found_and_taken_away") {
        return;
    }
    let world = World::new();
    let running = world.watch();
    running.process().signal(Signal::KILL).unwrap();
    running.wait(PATIENCE).unwrap();
    eventually("the agents' end", PATIENCE, || {
        (world.agent(0).is_none() && world.agent(1).is_none()).then_some(())
    })
    .unwrap();
    let asked = run(world.tool(&["kube", "cleanup"], None));
    assert_eq!(asked.code(), 2, "{}", asked.stderr);
    assert!(
        asked.stdout.contains("jobs.batch/apisec-") && asked.stdout.contains("(node n0)"),
        "{}",
        asked.stdout
    );
    let cleaned = run(world.tool(&["kube", "cleanup", "--yes"], None));
    assert!(
        cleaned.code() == 0 && cleaned.stdout.contains("It is gone."),
        "{} {}",
        cleaned.stdout,
        cleaned.stderr
    );
    world.nothing_is_left();
    let again = run(world.tool(&["kube", "cleanup"], None));
    assert_eq!((again.code(), again.stdout.as_str()), (0, "Nothing is left.\n"), "{}", again.stderr);
}

#[test]
fn after_a_kill_nobody_has_to_do_anything() {
    if !can_run("after_a_kill_nobody_has_to_do_anything") {
        return;
    }
    let world = World::new();
    world.make_namespace("apisec-top");
    let running = world.watch();
    running.process().signal(Signal::KILL).unwrap();
    running.wait(PATIENCE).unwrap();
    eventually("the end of jobs and pods", PATIENCE, || world.left().is_empty().then_some(())).unwrap();
    world.nothing_is_left();
}

#[test]
fn with_exactly_the_rights_that_are_printed_it_works() {
    if !can_run("with_exactly_the_rights_that_are_printed_it_works") {
        return;
    }
    let world = World::new();
    let eve = world.cluster.user("eve").unwrap();
    let refused = run(world.tool(&["kube", "doctor"], Some(&eve)));
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    assert!(refused.stdout.contains("Agents cannot work here yet"), "{}", refused.stdout);
    // By somebody who may not look, nothing is said to be clean.
    let unknown = run(world.tool(&["kube", "cleanup"], Some(&eve)));
    assert!(unknown.code() == 1 && !unknown.stdout.contains("Nothing is left"), "{}", unknown.stdout);
    let roles = run(world.tool(&["print", "rbac", "--role", "watch"], None)).stdout;
    let file = world.cluster.file("roles.yaml", &json!(null)).unwrap();
    fs::write(&file, roles).unwrap();
    world.cluster.ask(&["apply", "-f", &file]).unwrap();
    let name = "apisec-top-watch";
    world.bind(name, "eve", None);
    world.bind(name, "eve", Some("apisec-top"));
    let allowed = run(world.tool(&["kube", "doctor"], Some(&eve)));
    assert!(allowed.code() == 0 && allowed.stdout.contains("ok       rights to watch"), "{}", allowed.stdout);
    let watch = ["kube", "--all-nodes", "--headless", "--no-state", "--output", "json"];
    let running = Running::start_command(world.tool(&watch, Some(&eve))).unwrap();
    world.until_attached();
    world.ask("n1", 3);
    let snapshot = world.end(running);
    assert_eq!(world.calls(&snapshot, "asker", "web"), 3);
}

#[test]
fn a_namespace_that_is_restricted_refuses_before_anything_is_made() {
    if !can_run("a_namespace_that_is_restricted_refuses_before_anything_is_made") {
        return;
    }
    let world = World::new();
    let label = "pod-security.kubernetes.io/enforce=restricted";
    world.cluster.ask(&["label", "namespace", &world.namespace, label]).unwrap();
    let arguments =
        ["kube", "--all-nodes", "--headless", "--no-state", "--agent-namespace", &world.namespace];
    let refused = run(world.tool(&arguments, None));
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("PodSecurity") && refused.stderr.contains("kubectl label"),
        "{}",
        refused.stderr
    );
    world.nothing_is_left();
}
