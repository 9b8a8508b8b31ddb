//! Every scenario of the demo shop, and its twin: recorded by the shop, read by the tool. The attack must be noticed by
//! the detectors that its scenario names, within half a minute; the twin by none, and honest customers by none at high.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use apisec_engine::detect;
use apisec_tests::tool;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);
/// From the first request of an attack to its finding, in nanoseconds.
const IN_TIME: u64 = 30_000_000_000;
/// Severities that wake somebody.
const ALARMS: [&str; 2] = ["high", "critical"];

/// A line of `apisec-shop scenario list`.
struct Scenario {
    name: String,
    raises: BTreeSet<String>,
}

/// What the tool found in a recording of one side.
struct Judged {
    findings: Vec<Value>,
    calls: u64,
    /// When the side began, Unix nanoseconds; 0 for customers alone.
    started: u64,
}

/// What is known not to be right yet: a scenario, and whether its attack is missed or its twin accused.
const KNOWN: &[(&str, &str)] = &[];

#[test]
fn every_attack_is_noticed_and_no_twin_is() {
    let mut failures = Vec::new();
    let (mut twins, mut false_findings) = (0_u64, 0_usize);
    for scenario in scenarios() {
        let attack = judge(&scenario.name, &[]);
        let twin = judge(&scenario.name, &["--twin"]);
        let (noticed, wrongly) = (detectors(&attack), detectors(&twin));
        let missing: Vec<&String> = scenario.raises.difference(&noticed).collect();
        let late = attack.findings.iter().filter(|finding| {
            let is_ours = scenario.raises.contains(finding["detector"].as_str().unwrap());
            is_ours && finding["first_seen"].as_u64().unwrap() > attack.started + IN_TIME
        });
        println!("{:<22} {:>6} calls  attack {noticed:?}  twin {wrongly:?}", scenario.name, attack.calls);
        let is_late = late.count() > 0 && scenario.name != "mixed";
        let sides = [("attack", !missing.is_empty() || is_late), ("twin", !wrongly.is_empty())];
        for (side, wrong) in sides {
            if wrong != KNOWN.contains(&(scenario.name.as_str(), side)) {
                failures.push(format!("{} {side}: missing {missing:?}, twin {}", scenario.name, said(&twin)));
            }
        }
        twins += twin.calls;
        false_findings += twin.findings.len();
    }
    println!("{false_findings} findings in {twins} calls of twins and their customers");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn ten_minutes_of_honest_customers_raise_no_alarm() {
    let quiet = judge("none", &["--before=600"]);
    assert!(quiet.calls > 10_000, "{}", quiet.calls);
    let alarms =
        quiet.findings.iter().filter(|finding| ALARMS.contains(&finding["severity"].as_str().unwrap()));
    assert_eq!(alarms.count(), 0, "{}", said(&quiet));
    // Somebody who has forgotten a password is told of, lowly.
    assert!(quiet.findings.len() as u64 * 10_000 <= quiet.calls, "{}", said(&quiet));
}

/// Detectors without a scenario: the shop has no replicas, which only a node with several tells apart. By unit tests alone.
const UNPLAYED: [&str; 1] = ["replica-sibling"];

#[test]
fn every_detector_is_played() {
    let played: BTreeSet<String> = scenarios().into_iter().flat_map(|scenario| scenario.raises).collect();
    let all = detect::DETECTORS.iter().map(|detector| detector.about().id);
    let unplayed: Vec<&str> = all.filter(|id| !played.contains(*id)).collect();
    assert_eq!(unplayed, UNPLAYED);
}

/// `APISEC_DOCS=write` brings them up to date.
#[test]
fn documents_say_what_the_programs_print() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let writes = std::env::var_os("APISEC_DOCS").is_some();
    let printed = tool::run(&["print", "detectors"], PATIENCE).unwrap().stdout;
    let table = Command::new(tool::shop().unwrap()).args(["scenario", "table"]).output().unwrap().stdout;
    let readme = root.join("demo/README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let (before, rest) = text.split_once(MARK).unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let wanted = format!("{before}{MARK}{}\n{after}", String::from_utf8(table).unwrap());
    for (file, wanted) in [(root.join("doc/detectors.md"), printed), (readme, wanted)] {
        if writes {
            fs::write(&file, &wanted).unwrap();
        }
        let is = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            is == wanted,
            "{} is not what is printed: APISEC_DOCS=write brings it up to date",
            file.display()
        );
    }
}

const MARK: &str = "<!-- apisec-shop scenario table -->\n";

#[test]
fn what_a_run_without_a_terminal_found_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (attack, quiet) = (folder.path().join("attack.pcap"), folder.path().join("quiet.pcap"));
    record("expired-token", &["--before=5"], &attack);
    record("none", &["--before=5"], &quiet);
    let state = folder.path().join("state");
    let found = |file: &Path| {
        let [file, state] = [file, &state].map(|path| path.to_str().unwrap());
        let arguments = ["replay", file, "--headless", "--output", "json", "--state", state];
        let document = tool::run(&arguments, PATIENCE).unwrap().json().unwrap();
        let expired = |finding: &&Value| finding["detector"] == "auth-expired";
        document["findings"].as_array().unwrap().iter().filter(expired).cloned().collect::<Vec<_>>()
    };
    let first = found(&attack);
    assert_eq!(first.len(), 1, "{first:#?}");
    // Another run, which sees nothing of the kind, still knows it; so does one that sees it again.
    assert_eq!(found(&quiet), first);
    assert_eq!(found(&attack).len(), 1);
}

fn scenarios() -> Vec<Scenario> {
    let list = Command::new(tool::shop().unwrap()).args(["scenario", "list"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let line = |line: &str| {
        let mut columns = line.split_whitespace();
        let (name, _owasp, raises) = (columns.next()?, columns.next()?, columns.next()?);
        // A scenario may be there before its detector.
        let raises = raises.split(',').filter(|id| detect::find(id).is_some()).map(str::to_owned).collect();
        Some(Scenario { name: name.to_owned(), raises })
    };
    let scenarios: Vec<Scenario> = list.lines().filter_map(line).collect();
    assert!(scenarios.len() > 20);
    scenarios
}

fn judge(name: &str, arguments: &[&str]) -> Judged {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recorded.pcap");
    let started = record(name, arguments, &file);
    let file = file.to_str().unwrap();
    let run = tool::run(&["replay", file, "--headless", "--output", "json", "--no-state"], PATIENCE).unwrap();
    let document = run.json().unwrap();
    let findings = document["findings"].as_array().unwrap().clone();
    Judged { findings, calls: document["capture"]["calls"].as_u64().unwrap(), started }
}

fn record(name: &str, arguments: &[&str], file: &Path) -> u64 {
    let mut shop = Command::new(tool::shop().unwrap());
    shop.args(["record", name, "--out"]).arg(file).args(arguments).stdin(Stdio::null());
    let output = shop.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{name}: {said}");
    let truth = said.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    truth.map_or(0, |truth| truth["started"].as_u64().unwrap() * 1_000)
}

fn detectors(judged: &Judged) -> BTreeSet<String> {
    judged.findings.iter().map(|finding| finding["detector"].as_str().unwrap().to_owned()).collect()
}

fn said(judged: &Judged) -> String {
    let line = |finding: &Value| {
        format!(
            "\n    {} {} {}: {}",
            finding["severity"], finding["detector"], finding["title"], finding["evidence"]
        )
    };
    judged.findings.iter().map(line).collect()
}
