//! The command line as a script meets it: the real binary, its output and its exit codes.

#![expect(clippy::unwrap_used, reason = "a test helper that fails should fail the test")]

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_apisec-top");

/// The program without the caller's settings, at a width that is the same everywhere.
fn program(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("COLUMNS", "100");
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

fn stdout(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and standard error of something that must fail without printing anything.
fn failure(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_help_of_every_command_is_reviewed() {
    insta::assert_snapshot!("help", stdout(&["--help"]));
    for command in ["live", "replay", "demo", "kube", "doctor", "print"] {
        insta::assert_snapshot!(format!("help-{command}"), stdout(&[command, "--help"]));
    }
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(stdout(&["--version"]), format!("apisec-top {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_not_understood_ends_with_2_and_a_hint() {
    for (arguments, hint) in [
        (vec!["--durration", "5s"], "--duration"),
        (vec!["--duration", "soon"], "10s"),
        (vec!["--duration", "0s"], "longer than zero"),
        (vec!["--output", "yaml"], "possible values: table, json, ndjson"),
        (vec!["replay"], "<FILE>"),
        (vec!["reply", "x"], "replay"),
        (vec!["--state", "/tmp", "--no-state"], "cannot be used with"),
        (vec!["print", "man", "repaly"], "did you mean `replay`?"),
        (vec!["print", "completions"], "<SHELL>"),
        (vec!["print", "themes", "drak"], "did you mean `dark`?"),
        (vec!["replay", "x", "--theme", "drak"], "did you mean `dark`?"),
        (vec!["replay", "x", "--interval", "1ms"], "100ms to 10s"),
        (vec!["live", "--config", "/nonexistent.toml"], "print config"),
    ] {
        let (code, text) = failure(&arguments);
        assert_eq!(code, 2, "{arguments:?}: {text}");
        assert!(text.contains(hint), "{arguments:?}: {text}");
    }
}

#[test]
fn called_by_kubectl_it_looks_at_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("kubectl-apisec");
    std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    let call = |arguments: &[&str]| {
        let output =
            Command::new(&link).args(arguments).env_clear().env("HOME", "/nonexistent").output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, help, _) = call(&["--help"]);
    assert!(code == Some(0) && help.contains("Usage: kubectl apisec"), "{help}");
    let (code, _, text) = call(&["doctor"]);
    assert!(code == Some(1) && text.contains("no kubeconfig") && text.contains("--kubeconfig"), "{text}");
    let (code, roles, _) = call(&["print", "rbac", "--role", "watch"]);
    assert!(
        code == Some(0) && roles.contains("kind: ClusterRole") && !roles.contains("networkpolicies"),
        "{roles}"
    );
    let (code, _, text) = call(&["print", "rbac", "--agent-namespace", "a\nb"]);
    assert!(code == Some(2) && text.contains("a to z"), "{text}");
}

#[test]
fn the_schema_is_reviewed() {
    insta::assert_snapshot!("schema-json", stdout(&["print", "schema"]));
    insta::assert_snapshot!("schema-ndjson", stdout(&["print", "schema", "ndjson"]));
}

#[test]
fn keys_and_colours_are_reviewed() {
    insta::assert_snapshot!("keys", stdout(&["print", "keys"]));
    let themes = stdout(&["print", "themes"]);
    insta::assert_snapshot!("themes", themes);
    for name in themes.lines().filter_map(|line| line.split_whitespace().next()) {
        insta::assert_snapshot!(format!("theme-{name}"), stdout(&["print", "themes", name]));
    }
}

#[test]
fn printed_keys_are_valid_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let keys = stdout(&["print", "keys"]);
    std::fs::write(&file, &keys).unwrap();
    assert_eq!(stdout(&["print", "keys", "--config", file.to_str().unwrap()]), keys);
}

#[test]
fn the_default_settings_are_valid_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, stdout(&["print", "config"])).unwrap();
    let (_, text) = failure(&["replay", "/nonexistent", "--config", file.to_str().unwrap()]);
    assert!(!text.contains("config.toml"), "{text}");
}

#[test]
fn a_mistake_in_the_settings_is_placed() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("apisec-top");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("config.toml"), "\nthme = \"dark\"\n").unwrap();
    let output = program(["replay", "x"]).env("XDG_CONFIG_HOME", folder.path()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("config.toml:2:1") && text.contains("did you mean `theme`?"), "{text}");
}

#[test]
fn completions_know_every_flag() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&["print", "completions", shell]);
        assert!(["replay", "read-only"].iter().all(|word| script.contains(word)), "{shell}");
    }
}

#[test]
fn the_manual_is_reviewed() {
    insta::assert_snapshot!("man", stdout(&["print", "man"]));
    assert!(stdout(&["print", "man", "replay"]).contains(".TH apisec-top-replay"));
}

#[test]
fn a_flag_from_the_environment_does_not_disturb_a_command() {
    let output =
        program(["print", "config"]).env("APISEC_TOP_PLAIN", "1").env("APISEC_TOP_THEME", "dark").output();
    assert!(output.unwrap().status.success());
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child =
        program(["print", "schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
