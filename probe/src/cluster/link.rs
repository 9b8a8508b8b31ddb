//! How an agent is reached: a program whose standard streams lead to it (`ssh node apisec-top agent`, `kubectl exec`),
//! or a socket on which one listens.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// Bytes of what a program complains that are kept: the end.
const COMPLAINT: usize = 512;
/// How long a program may take to end once its input is closed.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is read from an agent.
pub type Incoming = Box<dyn AsyncRead + Send + Unpin>;
/// What is written to an agent.
pub type Outgoing = Box<dyn AsyncWrite + Send + Unpin>;
/// Something that is awaited.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A way to one agent. Opened again whenever it broke.
pub trait Link: Send + Sync {
    /// Opens it.
    fn open(&self) -> Later<'_, Result<Line, String>>;
}

/// An open way.
pub struct Line {
    /// From the agent.
    pub incoming: Incoming,
    /// To the agent.
    pub outgoing: Outgoing,
    /// What keeps it open, and knows why it closed.
    pub keeper: Box<dyn Keeper>,
}

/// Ends a way that is not needed any more.
pub trait Keeper: Send {
    /// Waits for the end; what the other side complained, empty when it did not. The streams are dropped before.
    fn close(self: Box<Self>) -> Later<'static, String>;
}

/// A program that leads to the agent.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program and its arguments.
    pub words: Vec<String>,
}

impl Link for Program {
    fn open(&self) -> Later<'_, Result<Line, String>> {
        Box::pin(async move {
            let (program, arguments) = self.words.split_first().ok_or("the command is empty")?;
            let started = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                // A Ctrl-C is ours: the agent shall detach because we say so.
                .process_group(0)
                .kill_on_drop(true)
                .spawn();
            let mut child = started.map_err(|error| format!("{program} cannot be run: {error}"))?;
            let (Some(outgoing), Some(incoming)) = (child.stdin.take(), child.stdout.take()) else {
                return Err(format!("{program} has no streams"));
            };
            let (incoming, outgoing) = (Box::new(incoming), Box::new(outgoing));
            Ok(Line { incoming, outgoing, keeper: Box::new(Running { child }) })
        })
    }
}

struct Running {
    child: Child,
}

impl Keeper for Running {
    fn close(mut self: Box<Self>) -> Later<'static, String> {
        Box::pin(async move {
            let mut complaint = Vec::new();
            let ended = async {
                if let Some(mut stderr) = self.child.stderr.take() {
                    let mut bytes = [0; COMPLAINT];
                    while let Ok(read @ 1..) = stderr.read(&mut bytes).await {
                        complaint.extend_from_slice(bytes.get(..read).unwrap_or_default());
                        let old = complaint.len().saturating_sub(COMPLAINT);
                        complaint.drain(..old);
                    }
                }
                let _status = self.child.wait().await;
            };
            let _late = tokio::time::timeout(PATIENCE, ended).await;
            // Dropping the child kills whatever is left of it.
            String::from_utf8_lossy(&complaint).trim().to_owned()
        })
    }
}

/// A socket in the file system.
#[derive(Clone, Debug)]
pub struct Socket {
    /// Where it is.
    pub path: PathBuf,
}

impl Link for Socket {
    fn open(&self) -> Later<'_, Result<Line, String>> {
        Box::pin(async move {
            let opened = UnixStream::connect(&self.path).await;
            let stream = opened
                .map_err(|error: io::Error| format!("{} does not answer: {error}", self.path.display()))?;
            let (incoming, outgoing) = stream.into_split();
            Ok(Line { incoming: Box::new(incoming), outgoing: Box::new(outgoing), keeper: Box::new(Closed) })
        })
    }
}

struct Closed;

impl Keeper for Closed {
    fn close(self: Box<Self>) -> Later<'static, String> {
        Box::pin(async { String::new() })
    }
}
