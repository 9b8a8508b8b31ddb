//! The job that puts one agent on one node: what it may do, what it may use, and when it ends by itself.
//!
//! A job and not a bare pod, because a job goes away with its pod when its time is over or it has ended, also when
//! nobody is left to delete it. Its only process waits for the program to be brought and started over exec, and ends
//! when nobody does that, or when the program has ended and is not started again.

use super::mark::{BY, NODE, OURS, POST, RUN};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, Container, EmptyDirVolumeSource, HostPathVolumeSource, Pod, PodSpec,
    PodTemplateSpec, ResourceRequirements, SELinuxOptions, SeccompProfile, SecurityContext, Toleration,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the program is put inside its pod.
pub(super) const FOLDER: &str = "/opt/apisec";
/// The program there.
pub(super) const PROGRAM: &str = "/opt/apisec/apisec-top";
/// Holds the process that the pod lives for.
pub(super) const PID: &str = "/opt/apisec/pid";
/// Name of the container.
pub(super) const CONTAINER: &str = "agent";

/// How long the program is waited for, and how long a new one after one has ended.
const WAIT: Duration = Duration::from_secs(180);
const IDLE: Duration = Duration::from_secs(30);
/// Seconds between two looks.
const LOOK: u64 = 3;
/// How long what has ended stays, so that one can see why.
const STAY: i32 = 15;
/// Room beside the program itself, bytes.
const ROOM: u64 = 64 << 20;

/// What agents may do, and nothing else.
///
/// `SYS_ADMIN` is for entering the network namespaces of pods: without it their sockets have no names. Linux 5.10 counts
/// memory of maps against a limit that `SYS_RESOURCE` would raise; there it takes `--privileged`.
pub const CAPABILITIES: [&str; 6] =
    ["BPF", "PERFMON", "NET_ADMIN", "SYS_PTRACE", "SYS_ADMIN", "DAC_READ_SEARCH"];

/// What agents are made of, the same on all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The namespace that they live in.
    pub namespace: String,
    /// Tells this run from others: eight hexadecimal digits.
    pub run: String,
    /// Who started it: `jo@laptop`.
    pub by: String,
    /// A stock image with a shell.
    pub image: String,
    /// Bytes of the program that is brought; 0 when the image holds it.
    pub program: u64,
    /// When they end, whatever happens.
    pub deadline: Duration,
    /// Most CPU, as Kubernetes writes it: `500m`.
    pub cpu: String,
    /// Most memory: `512Mi`.
    pub memory: String,
    /// Everything instead of a list of capabilities, for nodes that refuse those.
    pub privileged: bool,
}

impl Posting {
    /// The name of the job of the node with this number.
    pub(super) fn name(&self, number: usize) -> String {
        format!("apisec-{}-{number}", self.run)
    }

    /// The job of a node.
    pub(super) fn job(&self, number: usize, node: &str) -> Job {
        let name = self.name(number);
        let labels = self.labels(&name);
        let annotations = BTreeMap::from([
            (NODE.to_owned(), node.to_owned()),
            (BY.to_owned(), self.by.clone()),
            // Proxies of a mesh have no business here.
            ("linkerd.io/inject".to_owned(), "disabled".to_owned()),
        ]);
        let meta = ObjectMeta {
            labels: Some(labels.clone()),
            annotations: Some(annotations.clone()),
            ..ObjectMeta::default()
        };
        Job {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(self.namespace.clone()),
                ..meta.clone()
            },
            spec: Some(JobSpec {
                backoff_limit: Some(0),
                active_deadline_seconds: i64::try_from(self.deadline.as_secs()).ok(),
                ttl_seconds_after_finished: Some(STAY),
                template: PodTemplateSpec { metadata: Some(meta), spec: Some(self.pod(Some(node))) },
                ..JobSpec::default()
            }),
            ..Job::default()
        }
    }

    fn labels(&self, post: &str) -> BTreeMap<String, String> {
        [
            ("app.kubernetes.io/name", "apisec-top"),
            OURS,
            (RUN, &self.run),
            (POST, post),
            ("sidecar.istio.io/inject", "false"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    fn pod(&self, node: Option<&str>) -> PodSpec {
        let host = |name: &str, path: &str| Volume {
            name: name.into(),
            host_path: Some(HostPathVolumeSource { path: path.into(), type_: Some("Directory".into()) }),
            ..Volume::default()
        };
        let work = Volume {
            name: "work".into(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity((self.program.saturating_mul(2) + ROOM).to_string())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        };
        PodSpec {
            node_name: node.map(ToOwned::to_owned),
            // A node in trouble is one that is looked at.
            tolerations: Some(vec![Toleration { operator: Some("Exists".into()), ..Toleration::default() }]),
            restart_policy: Some("Never".into()),
            // Names need the node's processes, addresses its network.
            host_pid: Some(true),
            host_network: Some(true),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(5),
            volumes: Some(vec![work, host("cgroup", "/sys/fs/cgroup"), host("bpf", "/sys/fs/bpf")]),
            containers: vec![self.container()],
            ..PodSpec::default()
        }
    }

    fn container(&self) -> Container {
        let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
            name: name.into(),
            mount_path: path.into(),
            read_only: Some(read_only),
            ..VolumeMount::default()
        };
        let amounts = |cpu: &str, memory: &str| {
            let amounts = [("cpu", cpu), ("memory", memory)];
            Some(amounts.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).into())
        };
        Container {
            name: CONTAINER.into(),
            image: Some(self.image.clone()),
            image_pull_policy: Some("IfNotPresent".into()),
            command: Some(vec!["sh".into(), "-c".into(), vigil()]),
            resources: Some(ResourceRequirements {
                requests: amounts("50m", "64Mi"),
                limits: amounts(&self.cpu, &self.memory),
                ..ResourceRequirements::default()
            }),
            volume_mounts: Some(vec![
                mount("work", FOLDER, false),
                mount("cgroup", "/sys/fs/cgroup", true),
                mount("bpf", "/sys/fs/bpf", false),
            ]),
            security_context: Some(self.security()),
            ..Container::default()
        }
    }

    fn security(&self) -> SecurityContext {
        let capabilities = Capabilities {
            add: Some(CAPABILITIES.map(ToOwned::to_owned).into()),
            drop: Some(vec!["ALL".into()]),
        };
        SecurityContext {
            privileged: Some(self.privileged),
            capabilities: (!self.privileged).then_some(capabilities),
            read_only_root_filesystem: Some(true),
            run_as_user: Some(0),
            run_as_group: Some(0),
            // The profiles of runtimes refuse bpf(2) and perf_event_open(2), whatever capabilities say.
            seccomp_profile: Some(SeccompProfile { type_: "Unconfined".into(), ..SeccompProfile::default() }),
            app_armor_profile: Some(AppArmorProfile {
                type_: "Unconfined".into(),
                ..AppArmorProfile::default()
            }),
            se_linux_options: Some(SELinuxOptions {
                type_: Some("spc_t".into()),
                ..SELinuxOptions::default()
            }),
            ..SecurityContext::default()
        }
    }
}

/// A pod to try by dry run.
pub(super) fn sample(namespace: &str) -> Pod {
    let posting = Posting {
        namespace: namespace.into(),
        run: "00000000".into(),
        by: String::new(),
        image: "busybox".into(),
        program: 0,
        deadline: Duration::from_secs(60),
        cpu: "500m".into(),
        memory: "512Mi".into(),
        privileged: false,
    };
    let metadata = ObjectMeta { name: Some("apisec-try".into()), ..ObjectMeta::default() };
    Pod { metadata, spec: Some(posting.pod(None)), ..Pod::default() }
}

/// What the pod itself does: it waits while somebody comes, and lives as long as the process in `PID`.
fn vigil() -> String {
    let (wait, idle) = (WAIT.as_secs(), IDLE.as_secs());
    format!(
        "trap 'exit 0' TERM INT HUP; left={wait}; while [ $left -gt 0 ]; do sleep {LOOK} & wait $!; \
         if [ -s {PID} ] && kill -0 \"$(cat {PID})\" 2>/dev/null; then left={idle}; else left=$((left-{LOOK})); fi; done"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Instant;

    fn posting() -> Posting {
        Posting {
            namespace: "apisec-top".into(),
            run: "0a1b2c3d".into(),
            by: "jo@laptop".into(),
            image: "busybox:1.37".into(),
            program: 1 << 20,
            deadline: Duration::from_secs(900),
            cpu: "500m".into(),
            memory: "512Mi".into(),
            privileged: false,
        }
    }

    #[test]
    fn an_agent_may_do_no_more_than_it_has_to() {
        let spec = posting().job(3, "node-a").spec.unwrap();
        assert_eq!((spec.active_deadline_seconds, spec.backoff_limit), (Some(900), Some(0)));
        assert!(spec.ttl_seconds_after_finished.is_some());
        let pod = spec.template.spec.unwrap();
        assert_eq!(
            (pod.node_name.as_deref(), pod.restart_policy.as_deref()),
            (Some("node-a"), Some("Never"))
        );
        assert_eq!((pod.automount_service_account_token, pod.host_pid), (Some(false), Some(true)));
        let container = &pod.containers[0];
        let security = container.security_context.as_ref().unwrap();
        assert_eq!((security.privileged, security.read_only_root_filesystem), (Some(false), Some(true)));
        assert_eq!(
            security.capabilities.as_ref().unwrap().drop.as_deref(),
            Some(["ALL".to_owned()].as_slice())
        );
        let resources = container.resources.as_ref().unwrap();
        assert_eq!(resources.limits.as_ref().unwrap()["memory"].0, "512Mi");
        let written: Vec<&str> = container
            .volume_mounts
            .iter()
            .flatten()
            .filter(|mount| mount.read_only != Some(true))
            .map(|mount| mount.mount_path.as_str())
            .collect();
        assert_eq!(written, [FOLDER, "/sys/fs/bpf"]);
    }

    #[test]
    fn everything_of_ours_is_found_by_its_labels() {
        let job = posting().job(3, "node-a");
        let template = job.spec.unwrap().template.metadata.unwrap();
        for labels in [job.metadata.labels.unwrap(), template.labels.unwrap()] {
            assert_eq!(labels[OURS.0], OURS.1);
            assert_eq!((labels[RUN].as_str(), labels[POST].as_str()), ("0a1b2c3d", "apisec-0a1b2c3d-3"));
        }
    }

    /// The shell of a stock image is busybox's.
    #[test]
    fn the_vigil_is_over_when_it_is_told_to() {
        let mut shell = Command::new("sh").args(["-c", &vigil()]).spawn().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(shell.id()).unwrap()).unwrap();
        let began = Instant::now();
        loop {
            // Before it has set its trap it would end by the signal itself.
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            if let Some(status) = shell.try_wait().unwrap() {
                assert!(status.success() || status.code().is_none(), "{status}");
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not end");
            std::thread::yield_now();
        }
    }
}
