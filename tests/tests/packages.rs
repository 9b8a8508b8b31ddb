//! What is handed out: packages that are installed and run, manifests that the published schemas allow.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use apisec_tests::script::{PYTHON, pypi};
use apisec_tests::skip::{have_programs, have_root};
use apisec_tests::tool;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn packages_are_installed_and_run() {
    let name = "packages::packages_are_installed_and_run";
    if !have_root(name)
        || !have_programs(name, &["dpkg-deb", "python3", "skopeo", "umoci", "strip", "kubectl"])
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The binary of the tests: `make packages` compiles a static one, which takes many minutes.
    for script in ["build", "smoke"] {
        let mut command = Command::new(root().join("packages").join(script));
        command.env("PACKAGES", folder.path()).env("BINARY", tool::apisec_top().unwrap()).env("LEVEL", "1");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(
            script == "build" || said.lines().filter(|line| line.starts_with("ok ")).count() == 5,
            "{said}"
        );
    }
}

/// What the chart makes in namespace `apisec-top`; `values` are `KEY=JSON`.
fn rendered(values: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("render");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(root().join("tests/chart/render.go"));
    build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOFLAGS", "");
    build.env("GOCACHE", root().join("target/go"));
    let built = build.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let chart = root().join("packages/chart");
    let output =
        Command::new(program).arg(chart).args(["apisec-top", "apisec-top"]).args(values).output().unwrap();
    assert!(output.status.success(), "{values:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The objects in `text`, after they were held against the published schemas.
fn validated(text: &str, kept: Option<&Path>) -> Vec<String> {
    let mut command = Command::new(PYTHON);
    command.arg(root().join("tests/chart/validate.py")).args(kept).env("PYTHONPATH", pypi());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(ToOwned::to_owned).collect()
}

#[test]
fn the_chart_makes_what_the_published_schemas_allow() {
    let name = "packages::the_chart_makes_what_the_published_schemas_allow";
    if !have_programs(name, &["go", "python3"]) {
        return;
    }
    let usual = ["DaemonSet apisec-top", "ServiceAccount apisec-top"];
    let manifest = root().join("packages/kubernetes/agents.yaml");
    assert_eq!(validated(&rendered(&[]), Some(&manifest)), usual);
    let everything = [
        "metrics.prometheus.podMonitor=true",
        r#"metrics.otlp="http://$(NODE_IP):4318""#,
        r#"findings.send=["otlp:http://collector:4318","syslog:tcp://siem:514"]"#,
        r#"findings.tokenSecret="collector""#,
        r#"imagePullSecrets=[{"name":"pull"}]"#,
        r#"priorityClassName="system-node-critical""#,
        r#"extraArgs=["--sample-bodies=5"]"#,
    ];
    let text = rendered(&everything);
    assert_eq!(validated(&text, None), [usual[0], "PodMonitor apisec-top (no schema)", usual[1]]);
    for line in
        ["- --metrics=otlp:http://$(NODE_IP):4318", "- --send=syslog:tcp://siem:514", "- --sample-bodies=5"]
    {
        assert!(text.lines().any(|found| found.trim() == line), "{line}\n{text}");
    }
    let text = rendered(&["metrics.prometheus.enabled=false"]);
    assert_eq!(validated(&text, None), usual);
    assert!(!text.contains("9464"), "{text}");
}
