//! Agents on nodes: a job for each, the program brought to its pod, and a way to it that is opened again when it broke.
//!
//! Nothing here waits for a node that does not answer while others do: each has its own [`Link`].

use super::access::{Access, Cluster};
use super::cargo::Cargo;
use super::exec;
use super::home;
pub use super::job::{CAPABILITIES, Posting};
use super::job::{PID, PROGRAM};
use super::mark::{POST, RUN};
use super::{sweep, trouble};
use crate::cluster::link::{Later, Line, Link};
use crate::source::SourceError;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell, Semaphore};
use tokio::time::{Instant, sleep};

/// How long a pod may take to run: an image has to come first.
const START: Duration = Duration::from_secs(180);
/// How old what is known of our pods may be; one list serves all nodes.
const FRESH: Duration = Duration::from_secs(1);
/// Programs that are on their way at once: they all go through one API server.
const AT_ONCE: usize = 4;

/// See the module.
#[derive(Clone)]
pub struct Fleet(Arc<Shared>);

struct Shared {
    access: Access,
    posting: Posting,
    freight: Freight,
    cluster: OnceCell<Cluster>,
    pods: Mutex<Option<(Instant, Vec<Pod>)>>,
    berths: Semaphore,
    progress: Progress,
}

/// Where it is told how far a node is, in words; silent when nobody listens.
pub type Progress = Option<Box<dyn Fn(&str, &str) + Send + Sync>>;

/// Where the program comes from.
#[derive(Clone, Debug)]
pub enum Freight {
    /// It is brought.
    Brought(Cargo),
    /// The image holds it, there.
    InImage(String),
}

impl Fleet {
    /// Makes sure that agents will be let in.
    ///
    /// # Errors
    /// They will not, or it cannot be asked.
    pub async fn muster(
        access: Access,
        posting: Posting,
        freight: Freight,
        cluster: &Cluster,
        progress: Progress,
    ) -> Result<Self, SourceError> {
        home::prepare(cluster, &posting.namespace).await?;
        let pods = Mutex::new(None);
        let (cluster, berths) = (OnceCell::new(), Semaphore::new(AT_ONCE));
        Ok(Self(Arc::new(Shared { access, posting, freight, cluster, pods, berths, progress })))
    }

    /// A number for a run: eight hexadecimal digits that no other run has.
    #[must_use]
    pub fn number() -> String {
        let mut bytes = [0; 4];
        let _short = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        format!("{:08x}", u32::from_le_bytes(bytes))
    }

    /// The way to the agent of a node, which is made when it is opened.
    #[must_use]
    pub fn link(&self, number: usize, node: &str) -> Arc<dyn Link> {
        Arc::new(Post { shared: self.0.clone(), number, node: node.to_owned() })
    }

    /// Takes away everything that this run made, and waits until it is gone.
    ///
    /// # Errors
    /// What is left, and how it is taken away.
    pub async fn leave(&self) -> Result<(), SourceError> {
        let cluster = self.0.access.open().await?;
        sweep::run_of(&cluster, &self.0.posting.namespace, &self.0.posting.run).await
    }
}

struct Post {
    shared: Arc<Shared>,
    number: usize,
    node: String,
}

impl Link for Post {
    fn open(&self) -> Later<'_, Result<Line, String>> {
        Box::pin(async move {
            let cluster = self.shared.cluster.get_or_try_init(|| self.shared.access.open()).await;
            let cluster = cluster.map_err(|error| error.what)?;
            let pod = self.pod(cluster).await?;
            let program = match &self.shared.freight {
                Freight::InImage(path) => quoted(path),
                Freight::Brought(cargo) => {
                    self.bring(cluster, &pod, cargo).await?;
                    PROGRAM.to_owned()
                }
            };
            let deadline = self.shared.posting.deadline.as_secs();
            let script = format!("echo $$ >{PID}; exec {program} agent --deadline {deadline}s");
            let line = exec::line(cluster, &pod, &script).await?;
            self.tell("its agent is started");
            Ok(line)
        })
    }
}

impl Post {
    fn tell(&self, what: &str) {
        if let Some(progress) = &self.shared.progress {
            progress(&self.node, what);
        }
    }

    /// The pod of this node's job, once it runs.
    async fn pod(&self, cluster: &Cluster) -> Result<Pod, String> {
        self.employ(cluster).await?;
        self.tell("its pod is waited for");
        let until = Instant::now() + START;
        loop {
            let pod = self.shared.pod(cluster, &self.shared.posting.name(self.number)).await?;
            match pod.as_ref().map_or(Condition::Waiting("it was not made yet".into()), condition) {
                Condition::Runs => return pod.ok_or_else(String::new),
                Condition::Over(why) => return Err(format!("its pod has ended: {why}")),
                Condition::Waiting(why) if Instant::now() > until => {
                    return Err(format!("its pod does not run after {} s: {why}", START.as_secs()));
                }
                Condition::Waiting(_) => sleep(FRESH).await,
            }
        }
    }

    /// Makes the job, unless it is there and goes on.
    async fn employ(&self, cluster: &Cluster) -> Result<(), String> {
        let posting = &self.shared.posting;
        let jobs: Api<Job> = Api::namespaced(cluster.client.clone(), &posting.namespace);
        let name = posting.name(self.number);
        let told = |error: &kube::Error| trouble::of(error, "make its job").what;
        match jobs.get(&name).await {
            Ok(job) if !is_over(&job) => return Ok(()),
            Ok(_) => {
                // It ended on its own; with it goes its pod.
                let gone = jobs.delete(&name, &DeleteParams::background()).await;
                if let Err(error) = gone.as_ref()
                    && !trouble::is_absent(error)
                {
                    return Err(told(error));
                }
                return Err("its job has ended and is made anew".into());
            }
            Err(error) if trouble::is_absent(&error) => {}
            Err(error) => return Err(told(&error)),
        }
        let made = jobs.create(&PostParams::default(), &posting.job(self.number, &self.node)).await;
        made.map(drop).map_err(|error| told(&error))
    }

    /// Brings the program, unless it is there already.
    async fn bring(&self, cluster: &Cluster, pod: &Pod, cargo: &Cargo) -> Result<(), String> {
        let verify = format!("echo '{}  {PROGRAM}' | sha256sum -c -", cargo.digest);
        if exec::run(cluster, pod, &format!("{verify} >/dev/null 2>&1"), &[]).await?.well() {
            return Ok(());
        }
        self.tell("the program is brought");
        let _berth = self.shared.berths.acquire().await.map_err(|error| error.to_string())?;
        let ended = exec::run(cluster, pod, &unload(cargo), &cargo.packed).await?;
        if ended.well() {
            return Ok(());
        }
        let code =
            ended.code.map_or_else(|| "an unknown exit code".to_owned(), |code| format!("exit code {code}"));
        Err(format!("the program did not arrive whole in its pod ({code}): {}", ended.said))
    }
}

/// Takes in the program from standard input; it has its name only once it is whole.
fn unload(cargo: &Cargo) -> String {
    let (length, digest) = (cargo.packed.len(), &cargo.digest);
    let mut script = format!("umask 077; echo $$ >{PID}; ");
    // Not to the end of the input: not every API server tells a command that its input is over.
    let _ok = write!(
        script,
        "head -c {length} | gzip -dc >{PROGRAM}.part && echo '{digest}  {PROGRAM}.part' | sha256sum -c - >/dev/null && \
         chmod 700 {PROGRAM}.part && mv {PROGRAM}.part {PROGRAM}"
    );
    script
}

fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''"))
}

impl Shared {
    /// The newest pod of a job, as of a moment ago.
    async fn pod(&self, cluster: &Cluster, job: &str) -> Result<Option<Pod>, String> {
        let mut known = self.pods.lock().await;
        if known.as_ref().is_none_or(|(at, _)| at.elapsed() > FRESH) {
            let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &self.posting.namespace);
            let ours = ListParams::default().labels(&format!("{RUN}={}", self.posting.run));
            let pods = api.list(&ours).await.map_err(|error| trouble::of(&error, "list its pods").what)?;
            *known = Some((Instant::now(), pods.items));
        }
        let pods = known.iter().flat_map(|(_, pods)| pods);
        let of_job = |pod: &&Pod| {
            pod.metadata.labels.as_ref().and_then(|labels| labels.get(POST)).is_some_and(|post| post == job)
        };
        Ok(pods.filter(of_job).max_by_key(|pod| pod.metadata.creation_timestamp.clone()).cloned())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Condition {
    Runs,
    Waiting(String),
    Over(String),
}

fn condition(pod: &Pod) -> Condition {
    let status = pod.status.clone().unwrap_or_default();
    let container = status.container_statuses.unwrap_or_default().into_iter().next();
    let (ready, state) = container.map(|one| (one.state.clone(), one.state)).unwrap_or_default();
    let reason = |reason: Option<String>, message: Option<String>| {
        let parts = [reason.unwrap_or_default(), message.unwrap_or_default()];
        trouble::plain(parts.join(" ").trim())
    };
    let runs = ready.is_some_and(|state| state.running.is_some());
    match status.phase.as_deref() {
        Some("Running") if runs && pod.metadata.deletion_timestamp.is_none() => Condition::Runs,
        Some("Succeeded" | "Failed") => {
            let ended = state.and_then(|state| state.terminated);
            let code = ended.as_ref().map(|ended| format!("exit code {}", ended.exit_code));
            let container = ended.map(|ended| reason(ended.reason, ended.message));
            let parts = [Some(reason(status.reason, status.message)), code, container];
            let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
            Condition::Over(parts.join(", "))
        }
        _ => {
            let waiting = state.and_then(|state| state.waiting).unwrap_or_default();
            let why = reason(waiting.reason, waiting.message);
            let unschedulable = || {
                let conditions = status.conditions.unwrap_or_default();
                let one = conditions.into_iter().find(|condition| condition.status == "False");
                one.map_or_else(|| "it is pending".to_owned(), |one| reason(one.reason, one.message))
            };
            Condition::Waiting(if why.is_empty() { unschedulable() } else { why })
        }
    }
}

fn is_over(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let over = conditions
        .filter(|one| matches!(one.type_.as_str(), "Complete" | "Failed"))
        .any(|one| one.status == "True");
    over || job.metadata.deletion_timestamp.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::process::{Command, Stdio};

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "x"}, "status": status})).unwrap()
    }

    #[test]
    fn why_a_pod_does_not_run_is_told() {
        let running = json!({"phase": "Running", "containerStatuses": [{"name": "agent", "ready": true, "image": "",
            "imageID": "", "restartCount": 0, "state": {"running": {}}}]});
        assert_eq!(condition(&pod(&running)), Condition::Runs);
        let pulling = json!({"phase": "Pending", "containerStatuses": [{"name": "agent", "ready": false, "image": "",
            "imageID": "", "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such\nimage"}}}]});
        assert_eq!(condition(&pod(&pulling)), Condition::Waiting("ImagePullBackOff no such image".into()));
        let failed = json!({"phase": "Failed", "reason": "Evicted"});
        assert_eq!(condition(&pod(&failed)), Condition::Over("Evicted".into()));
        let ended = json!({"phase": "Failed", "containerStatuses": [{"name": "agent", "ready": false, "image": "",
            "imageID": "", "restartCount": 0, "state": {"terminated": {"exitCode": 127, "reason": "Error"}}}]});
        assert_eq!(condition(&pod(&ended)), Condition::Over("exit code 127, Error".into()));
        assert_eq!(condition(&pod(&json!({}))), Condition::Waiting("it is pending".into()));
    }

    #[test]
    fn a_job_is_over_when_it_says_so() {
        let job = |conditions| {
            serde_json::from_value::<Job>(json!({"status": {"conditions": conditions}})).unwrap()
        };
        assert!(is_over(&job(json!([{"type": "Failed", "status": "True"}]))));
        assert!(!is_over(&job(json!([{"type": "Suspended", "status": "True"}]))));
        assert!(!is_over(&job(json!([]))));
    }

    /// With the shell and the tools of a stock image, in a folder of its own.
    fn shell(script: &str, folder: &std::path::Path, input: &[u8]) -> bool {
        let script = script.replace(super::super::job::FOLDER, folder.to_str().unwrap());
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // What is cut has an end too.
        let _early = std::io::Write::write_all(&mut shell.stdin.take().unwrap(), input);
        shell.wait().unwrap().success()
    }

    #[test]
    fn a_program_arrives_whole_or_not_at_all() {
        let cargo = Cargo::pack(Some(std::path::Path::new("/bin/true"))).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("apisec-top");
        let cut = cargo.packed.get(..cargo.packed.len() / 2).unwrap();
        let mut changed = cargo.packed.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        for wrong in [cut, &changed, b""] {
            assert!(!shell(&unload(&cargo), folder.path(), wrong));
            assert!(!program.exists());
        }
        assert!(shell(&unload(&cargo), folder.path(), &cargo.packed));
        assert!(Command::new(&program).status().unwrap().success());
    }

    #[test]
    fn a_path_cannot_become_a_command() {
        assert_eq!(quoted("/a'; reboot; '"), "'/a'\\''; reboot; '\\'''");
    }
}
