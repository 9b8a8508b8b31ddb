//! Bad circumstances: what the program says when it cannot work, and what it leaves behind.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::skip::{have_programs, have_root};
use apisec_tests::tool::{self, Running};
use apisec_tests::watch::is_attached;
use apisec_tests::{client, eventually};
use rustix::process::Signal;

/// Probes are taken out one after the other, by all programs of the node in turn: that took over a minute beside others.
const PATIENCE: Duration = Duration::from_secs(180);
const LIVE: [&str; 5] = ["live", "--headless", "--no-state", "--output", "json"];
/// The user and group `nobody`, who has no rights on any Linux.
const NOBODY: u32 = 65534;

#[test]
fn without_rights_it_says_what_to_do() {
    if !have_root("circumstances::without_rights_it_says_what_to_do") {
        return;
    }
    let (_folder, program) = for_everyone();
    let mut command = Command::new(program);
    command.args(LIVE).args(["--duration", "1s"]).uid(NOBODY).gid(NOBODY);
    let run = Running::start_command(command).unwrap().wait(PATIENCE).unwrap();
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stdout.is_empty(), "{run:?}");
    for advice in ["sudo", "CAP_BPF", "replay"] {
        assert!(run.stderr.contains(advice), "no word of {advice}: {run:?}");
    }
}

#[test]
fn nothing_stays_in_the_kernel_however_it_ends() {
    if !have_root("circumstances::nothing_stays_in_the_kernel_however_it_ends") {
        return;
    }
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let running = Running::start(&LIVE).unwrap();
        let ids = attached(&running);
        running.process().signal(signal).unwrap();
        running.wait(PATIENCE).unwrap();
        let what = format!("the end of the programs {ids:?} after {signal:?}");
        eventually(&what, PATIENCE, || ids.is_disjoint(&loaded()).then_some(())).unwrap();
    }
    let pins = fs::read_dir("/sys/fs/bpf").map_or(0, |pins| {
        pins.filter(|pin| pin.as_ref().is_ok_and(|p| p.file_name().to_string_lossy().starts_with("apisec")))
            .count()
    });
    assert_eq!(pins, 0, "something is pinned");
}

#[test]
fn two_instances_see_the_same() {
    let name = "circumstances::two_instances_see_the_same";
    if !have_root(name) || !have_programs(name, &["nginx", "curl"]) {
        return;
    }
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let both = [Running::start(&LIVE).unwrap(), Running::start(&LIVE).unwrap()];
    for running in &both {
        attached(running);
    }
    for number in 0..5 {
        client::curl(&[&format!("{}/two-instances/{number}", nginx.url())]).unwrap();
    }
    nginx.log_of(5).unwrap();
    for running in both {
        let run = running.interrupt(PATIENCE).unwrap();
        let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let endpoints = document["endpoints"].as_array().unwrap();
        let ours =
            endpoints.iter().filter(|e| e["path"].as_str().is_some_and(|p| p.starts_with("/two-instances")));
        assert_eq!(ours.map(|e| e["calls"].as_u64().unwrap()).sum::<u64>(), 5, "{document}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_to_report() {
    let name = "circumstances::a_reader_that_goes_away_is_no_failure_to_report";
    if !have_root(name) {
        return;
    }
    let tool = tool::apisec_top().unwrap();
    let line = format!("'{}' {} --duration 1s | true", tool.display(), LIVE.join(" "));
    let run = Command::new("bash").args(["-c", &line]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_state_folder_that_cannot_be_written_is_said_and_no_hindrance() {
    if !have_root("circumstances::a_state_folder_that_cannot_be_written_is_said_and_no_hindrance") {
        return;
    }
    // Nobody can make a folder in /proc, not even root.
    let arguments =
        ["live", "--headless", "--output", "json", "--duration", "1s", "--state", "/proc/apisec-top"];
    let document = tool::run(&arguments, PATIENCE).unwrap().json().unwrap();
    let degradations = document["capture"]["degradations"].to_string();
    assert!(degradations.contains("/proc/apisec-top"), "{degradations}");
}

/// What the tool says when it is run behind `preparation`, a line of shell in a mount namespace of its own.
fn behind(preparation: &str, arguments: &str) -> tool::Run {
    let tool = tool::apisec_top().unwrap();
    let line = format!("{preparation} && exec '{}' {arguments}", tool.display());
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &line]);
    Running::start_command(command).unwrap().wait(PATIENCE * 2).unwrap()
}

const SHORT: &str = "live --headless --no-state --output json --duration 300ms";
/// Every cgroup2 is taken away, wherever this machine has it.
const NO_CGROUP2: &str = "for at in $(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \\([^ ]*\\) .* - cgroup2 .*/\\1/p' /proc/self/mountinfo); \
    do umount -l \"$at\"; done";

fn codes(run: &tool::Run) -> Vec<String> {
    let document = run.json().unwrap();
    let all = document["capture"]["degradations"].as_array().unwrap();
    all.iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn without_cgroup2_it_says_how_to_mount_one_and_takes_it_anywhere() {
    if !have_root("circumstances::without_cgroup2_it_says_how_to_mount_one_and_takes_it_anywhere") {
        return;
    }
    let run = behind(NO_CGROUP2, SHORT);
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stderr.contains("no cgroup2") && run.stderr.contains("mount -t cgroup2"), "{run:?}");
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("c group");
    fs::create_dir(&elsewhere).unwrap();
    let mount = format!("{NO_CGROUP2}; mount -t cgroup2 none '{}'", elsewhere.display());
    behind(&mount, SHORT).json().unwrap();
}

#[test]
fn without_type_information_it_works_and_says_what_is_missing() {
    if !have_root("circumstances::without_type_information_it_works_and_says_what_is_missing") {
        return;
    }
    let empty = tempfile::tempdir().unwrap();
    let run = behind(&format!("mount --bind '{}' /sys/kernel/btf", empty.path().display()), SHORT);
    let codes = codes(&run);
    assert!(["no-btf", "hook-tls"].iter().all(|code| codes.iter().any(|c| c == code)), "{codes:?}");
}

#[test]
fn a_state_folder_that_is_read_only_or_full_is_said_and_no_hindrance() {
    if !have_root("circumstances::a_state_folder_that_is_read_only_or_full_is_said_and_no_hindrance") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let arguments = format!("live --headless --output json --duration 300ms --state '{at}/state'");
    let full = format!(
        "mount -t tmpfs -o size=64k none '{at}' && ! dd if=/dev/zero of='{at}/all' bs=1k count=99 2>&-"
    );
    for (preparation, why) in
        [(format!("mount -t tmpfs -o ro none '{at}'"), "Read-only file system"), (full, "No space left")]
    {
        let run = behind(&preparation, &arguments);
        assert!(codes(&run).iter().any(|code| code == "state-not-kept"), "{run:?}");
        assert!(run.stdout.contains(why), "{run:?}");
    }
}

#[test]
fn a_root_that_lacks_rights_is_told_which() {
    if !have_root("circumstances::a_root_that_lacks_rights_is_told_which") {
        return;
    }
    let run = behind("true", &format!("{SHORT} >/dev/null"));
    assert_eq!(run.code(), 0, "{run:?}");
    let tool = tool::apisec_top().unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-bpf,-perfmon,-sys_admin", "--inh-caps=-bpf,-perfmon,-sys_admin"]);
    command.arg(tool).args(SHORT.split(' '));
    let run = Running::start_command(command).unwrap().wait(PATIENCE).unwrap();
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stderr.contains("a root without CAP_BPF, CAP_PERFMON"), "{run:?}");
}

/// The first kernel that wants no CAP_SYS_ADMIN for probes in files.
const PROBES_BY_BATCH: (u32, u32) = (6, 6);

#[test]
fn without_the_right_to_probe_what_goes_in_clear_is_read_and_the_rest_is_said() {
    if !have_root("circumstances::without_the_right_to_probe_what_goes_in_clear_is_read_and_the_rest_is_said")
    {
        return;
    }
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=-all", "--bounding-set=-all,+bpf,+perfmon,+net_admin,+sys_ptrace"]);
    command.arg(tool::apisec_top().unwrap()).args(SHORT.split(' '));
    let run = Running::start_command(command).unwrap().wait(PATIENCE).unwrap();
    assert_eq!(run.code(), 0, "{run:?}");
    let document = run.json().unwrap();
    let all = document["capture"]["degradations"].as_array().unwrap();
    let probes = all.iter().find(|one| one["code"] == "tls-probes");
    if apisec_probe::attach::version() >= PROBES_BY_BATCH {
        assert!(probes.is_none(), "{probes:?}");
    } else {
        let remedy = &probes.expect("what is missing is said")["remedy"];
        assert!(remedy.as_str().unwrap().contains("CAP_SYS_ADMIN"), "{remedy}");
    }
}

#[test]
fn too_few_open_files_and_a_full_output_are_named() {
    if !have_root("circumstances::too_few_open_files_and_a_full_output_are_named") {
        return;
    }
    let run = behind("ulimit -n 40", SHORT);
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stderr.contains("ulimit -n 4096"), "{run:?}");
    let run = behind("true", &format!("{SHORT} >/dev/full"));
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stderr.contains("standard output cannot be written"), "{run:?}");
}

#[test]
fn a_reached_limit_of_the_settings_is_said_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("config.toml");
    fs::write(&settings, "[limits]\nworkloads = 16\nendpoints = 64\n").unwrap();
    let session = tool::workspace().join("demo/sessions/shop.apisec");
    let arguments =
        ["replay", session.to_str().unwrap(), "--headless", "--no-state", "--output", "json", "--config"];
    let counted = |settings: &std::path::Path| {
        let arguments = [&arguments[..], &[settings.to_str().unwrap()]].concat();
        tool::run(&arguments, PATIENCE).unwrap()
    };
    let document = counted(&settings).json().unwrap();
    let calls = |document: &serde_json::Value| {
        let endpoints = document["endpoints"].as_array().unwrap().iter();
        endpoints.map(|endpoint| endpoint["calls"].as_u64().unwrap()).sum::<u64>()
    };
    let said = document["capture"]["degradations"].to_string();
    assert!(said.contains("endpoint-cap") && said.contains("raise `endpoints` under [limits]"), "{said}");
    let usual = folder.path().join("usual.toml");
    fs::write(&usual, "").unwrap();
    assert_eq!(calls(&document), calls(&counted(&usual).json().unwrap()), "totals stay exact");
    fs::write(&settings, "[limits]\nendpoints = 1\n").unwrap();
    let run = counted(&settings);
    assert_eq!(run.code(), 2, "{run:?}");
    assert!(run.stderr.contains("limits.endpoints is 1") && run.stderr.contains("64"), "{run:?}");
}

/// A copy of the tool that every user may run, wherever the tree itself is.
fn for_everyone() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("apisec-top");
    fs::copy(tool::apisec_top().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, program)
}

/// Waits until the tool has attached its programs, and returns their ids.
fn attached(running: &Running) -> BTreeSet<u32> {
    let id = running.process().id();
    let mut last = BTreeSet::new();
    eventually("programs in the kernel", PATIENCE, || {
        let now = held(id);
        let settled = now == last && links(id) > 0 && is_attached(id).unwrap_or(false);
        last = now;
        settled.then(|| last.clone())
    })
    .unwrap()
}

/// Ids of the programs that a process holds open.
fn held(process: u32) -> BTreeSet<u32> {
    let field = |text: &str| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
    descriptors(process).iter().filter_map(|text| field(text)).collect()
}

fn links(process: u32) -> usize {
    descriptors(process).iter().filter(|text| text.contains("link_type:")).count()
}

fn descriptors(process: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fdinfo")) else { return Vec::new() };
    entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok()).collect()
}

/// Ids of all programs in the kernel.
fn loaded() -> BTreeSet<u32> {
    aya::programs::loaded_programs().filter_map(Result::ok).map(|program| program.id()).collect()
}
