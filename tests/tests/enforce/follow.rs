//! Who is started again is still the one that is meant: rules that name processes follow, with and without a terminal.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use apisec_tests::eventually;
use apisec_tests::script::{Dialogue, PYTHON};
use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::skip::find_program;
use apisec_tests::tool::{self, Running};
use tempfile::TempDir;

use super::can_run;

/// Pins of these tests; nobody else's.
const PINS: &str = "tests-of-following";
const PATIENCE: Duration = Duration::from_secs(180);

/// Connects anew for each line; prints the status, or `refused`.
const CALLER: &str = r#"
import http.client, sys
for line in sys.stdin:
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
    try:
        connection.request("GET", line.strip())
        print(connection.getresponse().status, flush=True)
    except PermissionError:
        print("refused", flush=True)
    except OSError as error:
        print(error, flush=True)
    connection.close()
"#;

fn top(state: &TempDir, arguments: &[&str]) -> String {
    let mut command = tool::command(arguments).unwrap();
    command.env("APISEC_TOP_PINS", PINS).env("APISEC_TOP_STATE", state.path());
    let run = Running::start_command(command).unwrap().wait(PATIENCE).unwrap();
    assert!(run.status.success(), "{arguments:?}: {}{}", run.stdout, run.stderr);
    run.stdout
}

struct Tidy<'a>(&'a TempDir);

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        let mut command = tool::command(&["panic"]).unwrap();
        command.env("APISEC_TOP_PINS", PINS).env("APISEC_TOP_STATE", self.0.path());
        let ended = Running::start_command(command).and_then(|run| run.wait(PATIENCE));
        eprintln!("{:?}", ended.map(|run| run.stdout));
    }
}

/// A caller whose program is called so; a program of its own, so that no other Python on this machine is meant.
fn caller(programs: &TempDir, name: &str, nginx: &Nginx) -> Dialogue {
    let program = programs.path().join(name);
    if !program.exists() {
        fs::copy(fs::canonicalize(find_program(PYTHON).unwrap()).unwrap(), &program).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(&program);
    command.env("PYTHONHOME", "/usr").args(["-c", CALLER]).arg(nginx.address().port().to_string());
    Dialogue::start(command, folder).unwrap()
}

#[test]
fn a_caller_that_is_started_again_is_refused_again() {
    let name = "follow::a_caller_that_is_started_again_is_refused_again";
    let Some(_alone) = can_run(name, &["nginx", "python3"]) else { return };
    let (state, programs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let _tidy = Tidy(&state);
    let mut meant = caller(&programs, "apisec-caller", &nginx);
    let mut other = caller(&programs, "apisec-other", &nginx);
    assert_eq!((meant.say("/a").unwrap(), other.say("/a").unwrap()), ("200".into(), "200".into()));
    let file = state.path().join("stop.yaml");
    let policy = format!(
        "apiVersion: apisec-top/1\nkind: Policy\nmetadata: {{name: stop}}\nspec:\n  scope: {{edge: {{from: apisec-caller, to: \"{}\"}}}}\n  ttl: 30m\n",
        nginx.address()
    );
    fs::File::create(&file).unwrap().write_all(policy.as_bytes()).unwrap();
    top(&state, &["policy", "apply", file.to_str().unwrap(), "--yes", "--watch", "100ms"]);
    assert_eq!(meant.say("/b").unwrap(), "refused");
    for round in 0..3 {
        drop(meant);
        meant = caller(&programs, "apisec-caller", &nginx);
        let again = Instant::now();
        eventually("it is refused again", PATIENCE, || (meant.say("/c").unwrap() == "refused").then_some(()))
            .unwrap();
        println!("round {round}: refused {:?} after it was started again", again.elapsed());
        for _ in 0..20 {
            assert_eq!(
                (meant.say("/d").unwrap(), other.say("/d").unwrap()),
                ("refused".into(), "200".into())
            );
        }
    }
    let history = top(&state, &["policy", "history"]);
    assert!(history.matches("followed").count() >= 3, "{history}");
    // What it did before counts on.
    let list = top(&state, &["policy", "list", "--output", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert!(list[0]["blocked"].as_u64().unwrap() >= 61, "{list:#}");
    top(&state, &["policy", "rollback", "stop", "--yes"]);
    assert_eq!((meant.say("/e").unwrap(), other.say("/e").unwrap()), ("200".into(), "200".into()));
    eventually("nothing pinned", PATIENCE, || (!Path::new("/sys/fs/bpf").join(PINS).exists()).then_some(()))
        .unwrap();
}
