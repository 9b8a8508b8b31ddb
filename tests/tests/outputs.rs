//! Findings as others read them: OCSF, SARIF, syslog over UDP, TCP and TLS, OpenTelemetry logs. Each is read by a library that we
//! did not write, and what a place did not take in one run it is given by the next.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use apisec_tests::certificate::Certificate;
use apisec_tests::process::Process;
use apisec_tests::script::{PYTHON, pypi};
use apisec_tests::tool;

const PATIENCE: Duration = Duration::from_secs(120);

/// A collector of everything, in Python.
struct Place {
    _process: Process,
    lines: Receiver<String>,
    /// Of syslog over TCP, over TLS, over UDP, and of OpenTelemetry.
    ports: Vec<u16>,
}

impl Place {
    fn open(certificate: &Certificate, port: u16) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outputs/receiver.py");
        let mut command = Command::new(PYTHON);
        command.arg(script).arg(certificate.chain()).arg(certificate.key()).arg(port.to_string());
        command.env("PYTHONPATH", pypi()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(command).unwrap();
        let out = BufReader::new(process.child().stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).for_each(|line| drop(send.send(line)));
        });
        let first = lines.recv_timeout(PATIENCE).unwrap();
        let ports =
            first.strip_prefix("ports ").unwrap().split(' ').map(|port| port.parse().unwrap()).collect();
        Self { _process: process, lines, ports }
    }

    /// What came, by kind, until there are so many of each.
    fn until(&self, kinds: &[&str], wanted: usize) -> BTreeMap<String, usize> {
        let deadline = Instant::now() + PATIENCE;
        let mut came: BTreeMap<String, usize> = BTreeMap::new();
        while kinds.iter().any(|kind| came.get(*kind).is_none_or(|count| *count < wanted)) {
            let left = deadline.saturating_duration_since(Instant::now());
            let line =
                self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("only {came:?} of {wanted} came"));
            let kind = line.strip_suffix(" ok").unwrap_or_else(|| panic!("not understood: {line}"));
            *came.entry(kind.to_owned()).or_default() += 1;
        }
        came
    }
}

/// What the shop's mixed hour is on the wire, or honest customers alone.
fn recorded(folder: &Path, arguments: &[&str]) -> PathBuf {
    let file = folder.join(format!("{}.pcap", arguments[0]));
    let output =
        Command::new(tool::shop().unwrap()).arg("record").args(arguments).arg("--out").arg(&file).output();
    assert!(output.unwrap().status.success());
    file
}

fn replay(file: &Path, more: &[&str]) -> tool::Run {
    let arguments = [&["replay", file.to_str().unwrap(), "--headless"], more].concat();
    tool::run(&arguments, PATIENCE).unwrap()
}

fn lines(run: &tool::Run) -> usize {
    run.stdout.lines().count()
}

#[test]
fn somebody_elses_models_read_ocsf_and_sarif() {
    let folder = tempfile::tempdir().unwrap();
    let file = recorded(folder.path(), &["mixed"]);
    let findings = lines(&replay(&file, &["--no-state", "--output", "findings"]));
    assert!(findings > 10);
    for kind in ["ocsf", "sarif"] {
        let written = folder.path().join(kind);
        std::fs::write(&written, &replay(&file, &["--no-state", "--output", kind]).stdout).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outputs/validate.py");
        let read = Command::new(PYTHON)
            .arg(script)
            .arg(kind)
            .arg(&written)
            .env("PYTHONPATH", pypi())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&read.stdout);
        assert_eq!(said.trim(), findings.to_string(), "{kind}: {}", String::from_utf8_lossy(&read.stderr));
    }
}

#[test]
fn collectors_read_every_finding() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::new().unwrap();
    let place = Place::open(&certificate, 0);
    let file = recorded(folder.path(), &["mixed"]);
    let to = |kind: &str, at: usize| format!("{kind}{}", place.ports[at]);
    let places = [
        to("syslog:tcp://127.0.0.1:", 0),
        to("syslog:tls://127.0.0.1:", 1),
        to("syslog:udp://127.0.0.1:", 2),
        to("otlp:http://127.0.0.1:", 3),
    ];
    let authority = certificate.chain();
    let mut arguments = vec!["--no-state", "--output", "findings", "--send-least", "info"];
    arguments.extend(["--send-ca", authority.to_str().unwrap()]);
    places.iter().for_each(|place| arguments.extend(["--send", place]));
    let findings = lines(&replay(&file, &arguments));
    let came = place.until(&["tcp", "tls", "udp", "otlp"], findings);
    println!("{findings} findings: {came:?}");
}

#[test]
fn what_a_place_did_not_take_it_is_given_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::new().unwrap();
    let (mixed, quiet) =
        (recorded(folder.path(), &["mixed"]), recorded(folder.path(), &["none", "--before=5"]));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = format!("syslog:tcp://127.0.0.1:{free}");
    let state = folder.path().join("state");
    let arguments = [
        "--state",
        state.to_str().unwrap(),
        "--output",
        "findings",
        "--send-least",
        "info",
        "--send",
        &place,
    ];
    let findings = lines(&replay(&mixed, &arguments));
    assert!(findings > 10);
    let collector = Place::open(&certificate, free);
    replay(&quiet, &arguments);
    let came = collector.until(&["tcp"], findings);
    println!("{findings} findings, in the next run {came:?}");
}
