//! Commands in a pod, over the exec of an API server: to their end, or as a way to an agent.

use super::access::Cluster;
use super::job::CONTAINER;
use super::trouble;
use crate::cluster::link::{Keeper, Later, Line};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, AttachedProcess};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Bytes between us and the connection, each way.
const BUFFER: usize = 64 << 10;
/// Bytes of what a command says that are kept: the end.
const SAID: usize = 1 << 10;
/// How long a command may take to begin, and how long one of ours may take to end.
const BEGIN: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(120);
/// How long a write may stand still.
const STILL: Duration = Duration::from_secs(60);
/// How long a stream may take to end after its connection.
const MOMENT: Duration = Duration::from_millis(100);
/// How long the last word of an agent is waited for.
const LAST_WORD: Duration = Duration::from_secs(3);

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code; `None` when the API server does not tell.
    pub(super) code: Option<i32>,
    /// The end of what it said.
    pub(super) said: String,
}

impl Ended {
    pub(super) fn well(&self) -> bool {
        self.code == Some(0)
    }
}

/// Runs a shell script in the agent's container to its end, with `input` as its standard input.
pub(super) async fn run(cluster: &Cluster, pod: &Pod, script: &str, input: &[u8]) -> Result<Ended, String> {
    let mut process = start(cluster, pod, script).await?;
    let (stdout, stderr) = (Tail::of(process.stdout()), Tail::of(process.stderr()));
    let status = process.take_status();
    if let Some(mut stdin) = process.stdin() {
        for chunk in input.chunks(BUFFER) {
            match timeout(STILL, stdin.write_all(chunk)).await {
                Ok(Ok(())) => {}
                // It has ended before it has read everything: how, is what matters.
                Ok(Err(_)) => break,
                Err(_) => return Err(format!("the way to its pod stood still for {} s", STILL.as_secs())),
            }
        }
        let _closed = stdin.flush().await;
    }
    let status = match status {
        Some(status) => {
            timeout(END, status).await.map_err(|_| "a command in its pod does not end".to_owned())?
        }
        None => None,
    };
    // What was said is whole once the connection has ended by itself; dropping it ends it.
    let _late = timeout(LAST_WORD, process.join()).await;
    let (stdout, stderr) = (stdout.end().await, stderr.end().await);
    let said = trouble::plain([stdout.trim(), stderr.trim()].join(" ").trim());
    Ok(Ended { code: status.as_ref().and_then(code), said })
}

/// A way to what `script` starts.
pub(super) async fn line(cluster: &Cluster, pod: &Pod, script: &str) -> Result<Line, String> {
    let mut process = start(cluster, pod, script).await?;
    let (Some(incoming), Some(outgoing)) = (process.stdout(), process.stdin()) else {
        return Err("the API server gives no streams".into());
    };
    let complaint = Tail::of(process.stderr());
    let status = process.take_status().map(|status| Box::pin(status) as _);
    let keeper = Box::new(Running { process, complaint, status });
    Ok(Line { incoming: Box::new(incoming), outgoing: Box::new(outgoing), keeper })
}

async fn start(cluster: &Cluster, pod: &Pod, script: &str) -> Result<AttachedProcess, String> {
    let meta = &pod.metadata;
    let pods: Api<Pod> =
        Api::namespaced(cluster.client.clone(), meta.namespace.as_deref().unwrap_or_default());
    let params = AttachParams {
        container: Some(CONTAINER.into()),
        stdin: true,
        stdout: true,
        stderr: true,
        tty: false,
        max_stdin_buf_size: Some(BUFFER),
        max_stdout_buf_size: Some(BUFFER),
        max_stderr_buf_size: Some(BUFFER),
    };
    let name = meta.name.as_deref().unwrap_or_default();
    let started = timeout(BEGIN, pods.exec(name, ["sh", "-c", script], &params)).await;
    let started =
        started.map_err(|_| format!("the API server did not begin a command in {} s", BEGIN.as_secs()))?;
    started.map_err(|error| {
        let told = trouble::of(&error, "run a command in its pod");
        format!("{}; {}", told.what, told.remedy)
    })
}

/// The exit code of a process: success, or among the causes.
fn code(status: &Status) -> Option<i32> {
    if status.status.as_deref() == Some("Success") {
        return Some(0);
    }
    let causes = status.details.as_ref()?.causes.as_ref()?;
    let cause = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"))?;
    cause.message.as_ref()?.parse().ok()
}

/// Reads to the end and keeps the last of it: a stream that nobody reads would stop the others.
struct Tail {
    text: Arc<Mutex<Vec<u8>>>,
    reading: Option<JoinHandle<()>>,
}

impl Tail {
    fn of(stream: Option<impl AsyncRead + Send + Unpin + 'static>) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let kept = text.clone();
        let reading = stream.map(|mut stream| {
            tokio::spawn(async move {
                let mut bytes = [0; SAID];
                while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                    let mut text = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    text.extend_from_slice(bytes.get(..read).unwrap_or_default());
                    let old = text.len().saturating_sub(SAID);
                    text.drain(..old);
                }
            })
        });
        Self { text, reading }
    }

    /// What was said until now, and in a last moment.
    async fn end(self) -> String {
        if let Some(reading) = self.reading {
            let aborted = reading.abort_handle();
            let _late = timeout(MOMENT, reading).await;
            aborted.abort();
        }
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}

struct Running {
    process: AttachedProcess,
    complaint: Tail,
    status: Option<Pin<Box<dyn Future<Output = Option<Status>> + Send>>>,
}

impl Keeper for Running {
    fn close(self: Box<Self>) -> Later<'static, String> {
        Box::pin(async move {
            let Self { process, complaint, status } = *self;
            let status = match status {
                Some(status) => timeout(LAST_WORD, status).await.ok().flatten(),
                None => None,
            };
            match status {
                Some(_) => drop(timeout(LAST_WORD, process.join()).await),
                None => drop(process),
            }
            let said = complaint.end().await;
            let said = trouble::plain(said.trim());
            match status.as_ref().and_then(code) {
                Some(code) if code != 0 && said.is_empty() => format!("it ended with exit code {code}"),
                _ => said,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_exit_code_is_among_the_causes() {
        let status = |value| serde_json::from_value::<Status>(value).unwrap();
        assert_eq!(code(&status(json!({"status": "Success"}))), Some(0));
        let causes = json!([{"reason": "ExitCode", "message": "91"}]);
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}});
        assert_eq!(code(&status(failed)), Some(91));
        assert_eq!(code(&status(json!({"status": "Failure", "message": "lost"}))), None);
    }
}
