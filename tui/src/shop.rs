//! The demo shop as a child process: found, started, and stopped with us.

use crate::exit::Failure;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Name of its program.
const PROGRAM: &str = "apisec-shop";

/// A shop that is not open by then never will be, even on a machine that is busy.
const OPENING: Duration = Duration::from_secs(30);

/// What the shop may take to close after SIGTERM: its servers one after the other, some seconds each.
const CLOSING: Duration = Duration::from_secs(15);

/// What the shop complains about is repeated up to this many bytes.
const MAX_COMPLAINT: u64 = 4 << 10;

/// A shop that is open. Dropping it closes it.
pub struct Shop {
    child: Child,
    complaint: Option<JoinHandle<String>>,
    /// Says when its standard output is closed, which is when it has ended.
    ended: Receiver<()>,
}

impl Shop {
    /// Starts every server and the load, and waits until they answer.
    ///
    /// # Errors
    /// There is no shop, or it does not open.
    pub fn open(scenario: Option<&str>) -> Result<Self, Failure> {
        let mut command = Command::new(program()?);
        command.arg("up").arg("--parent").arg(std::process::id().to_string());
        command.args(scenario.iter().flat_map(|name| ["--scenario", name]));
        // In a process group of its own, so that Ctrl-C reaches us only and the shop is closed in order.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| not_open(&error.to_string()))?;
        let complaint = child.stderr.take().map(|stderr| thread::spawn(|| complaint(stderr)));
        let (ready, ended) = listen(&mut child);
        let mut shop = Self { child, complaint, ended };
        match ready.recv_timeout(OPENING) {
            Ok(line) if line.contains("\"ready\":true") => Ok(shop),
            Ok(_) | Err(mpsc::RecvTimeoutError::Disconnected) => Err(not_open(&shop.close())),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                Err(not_open(&format!("not ready after {} s\n{}", OPENING.as_secs(), shop.close())))
            }
        }
    }

    /// Closes it and says what it complained about.
    fn close(&mut self) -> String {
        self.signal(Signal::TERM);
        if self.ended.recv_timeout(CLOSING) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.signal(Signal::KILL);
        }
        let _reaped = self.child.wait();
        self.complaint.take().and_then(|reader| reader.join().ok()).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It may have ended by itself; it is reaped only in `close`, so that the number is still its own.
        let _gone = pid.map(|pid| kill_process(pid, signal));
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the shop says about its scenarios.
///
/// # Errors
/// There is no shop, or it fails.
pub fn scenarios() -> Result<Vec<u8>, Failure> {
    let output = Command::new(program()?).args(["scenario", "list"]).stdin(Stdio::null()).output();
    match output {
        Ok(Output { status, stdout, .. }) if status.success() => Ok(stdout),
        Ok(Output { stderr, .. }) => Err(not_open(&String::from_utf8_lossy(&stderr))),
        Err(error) => Err(not_open(&error.to_string())),
    }
}

/// The first line, and a word when there will be no more.
fn listen(child: &mut Child) -> (Receiver<String>, Receiver<()>) {
    let (say, ready) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            if let Some(first) = lines.next() {
                let _nobody_waits = say.send(first);
            }
            drop(say);
            lines.for_each(drop);
            let _nobody_waits = end.send(());
        });
    }
    (ready, ended)
}

fn complaint(mut stderr: ChildStderr) -> String {
    let mut text = Vec::new();
    let _cut = stderr.by_ref().take(MAX_COMPLAINT).read_to_end(&mut text);
    // What does not fit is read all the same: a full pipe would stop the shop.
    let _cut = std::io::copy(&mut stderr, &mut std::io::sink());
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// Beside us, in PATH, or in the folder where cargo builds.
fn program() -> Result<PathBuf, Failure> {
    let ours = std::env::current_exe().unwrap_or_default();
    let beside = ours.parent().map(|folder| folder.join(PROGRAM));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join(PROGRAM));
    let built = ["target/release", "target/debug"].map(|folder| Path::new(folder).join(PROGRAM));
    let mut places = beside.into_iter().chain(in_path).chain(built);
    places.find(|place| place.is_file()).ok_or_else(|| {
        Failure::new(
            format!("the demo needs the program {PROGRAM}, which is neither beside apisec-top nor in PATH"),
            "make demo (in the source tree) builds and runs it\n\
             cargo build -p apisec-demo builds it where it is found",
        )
    })
}

fn not_open(why: &str) -> Failure {
    Failure::new(
        format!("the demo shop does not start: {}", why.trim()),
        "apisec-shop up (shows what it says)",
    )
}
