//! Cgroup paths, v1 and v2, to the container, pod and systemd unit that they stand for. Pure text.
//!
//! The innermost container of a path wins (Docker in Docker, kind); a unit inside a container is the
//! container's own business. User sessions and their applications are nobody's service.

use compact_str::CompactString;

/// Longest name that is taken from a path: systemd's limit for a unit name.
const MAX_NAME: usize = 255;
/// Docker, containerd, CRI-O and Podman ids.
const CONTAINER_ID: usize = 64;
/// What is shown of a container id, as `docker ps` does.
const SHORT_ID: usize = 12;

/// Where a process was put.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Placement {
    /// Container id (64 hex digits, or an LXC name), empty when none.
    pub container: CompactString,
    /// `docker`, `containerd`, `cri-o`, `podman`, `lxc`, `ecs`; empty when the path does not tell.
    pub runtime: &'static str,
    /// Kubernetes pod UID with dashes, empty when none.
    pub pod_uid: CompactString,
    /// systemd service outside the container, empty when none.
    pub unit: CompactString,
}

impl Placement {
    /// Reads the text of `/proc/<pid>/cgroup`: the line that tells the most wins.
    #[must_use]
    pub fn of_process(text: &str) -> Self {
        let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        paths
            .map(Self::of_path)
            .reduce(|best, next| if next.rank() > best.rank() { next } else { best })
            .unwrap_or_default()
    }

    /// Reads one path relative to its hierarchy.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let mut placement = Self::default();
        let mut runtime = "";

        for segment in path.split('/').filter(|segment| !segment.is_empty() && segment.len() <= MAX_NAME) {
            if let Some(uid) = pod_uid(segment) {
                placement.pod_uid = uid;
                placement.container.clear();
                runtime = "";
            }
            if let Some((id, named)) = container(segment, runtime) {
                placement.container = id;
                placement.runtime = named;
            } else if placement.container.is_empty() {
                placement.note_unit(segment);
            }
            let inherited = if runtime == "lxc" { "" } else { runtime };
            runtime = parent_runtime(segment).unwrap_or(inherited);
        }
        placement
    }

    /// The container id as people see it.
    #[must_use]
    pub fn short_container(&self) -> &str {
        self.container.get(..SHORT_ID).filter(|_| is_container_id(&self.container)).unwrap_or(&self.container)
    }

    /// The innermost service counts, unless a user's scope stands between it and the process.
    fn note_unit(&mut self, segment: &str) {
        if segment.ends_with(".service") {
            let manager = segment.starts_with("user@");
            self.unit = if manager { CompactString::default() } else { segment.into() };
        } else if segment.ends_with(".scope") {
            self.unit.clear();
        }
    }

    fn rank(&self) -> u8 {
        u8::from(!self.pod_uid.is_empty()) * 4
            + u8::from(!self.container.is_empty()) * 2
            + u8::from(!self.unit.is_empty())
    }
}

/// `docker-<id>.scope`, `cri-containerd-<id>.scope`, `<slice>:cri-containerd:<id>`, `<id>`, LXC names.
fn container(segment: &str, parent: &'static str) -> Option<(CompactString, &'static str)> {
    let lxc = segment.strip_prefix("lxc.payload.").or_else(|| (parent == "lxc").then_some(segment));
    if let Some(name) = lxc {
        return Some((name.into(), "lxc"));
    }
    let bare = segment.strip_suffix(".scope").unwrap_or(segment);
    let (prefix, id) = match bare.rfind(['-', ':']) {
        Some(at) => (bare.get(..at)?, bare.get(at..)?.get(1..)?),
        None => ("", bare),
    };
    let monitor = prefix.ends_with("conmon");
    if monitor || !is_container_id(id) && !is_fargate_id(prefix, id, parent) {
        return None;
    }
    let id = if is_container_id(id) { id } else { bare };
    Some((id.into(), named_runtime(prefix).unwrap_or(parent)))
}

fn is_container_id(id: &str) -> bool {
    id.len() == CONTAINER_ID && is_hex(id)
}

/// `/ecs/<task>/<32 hex of the task>-<digits>`.
fn is_fargate_id(prefix: &str, id: &str, parent: &str) -> bool {
    parent == "ecs" && prefix.len() == 32 && is_hex(prefix) && id.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn named_runtime(prefix: &str) -> Option<&'static str> {
    let last = prefix.rsplit(':').next().unwrap_or(prefix);
    match last {
        "docker" => Some("docker"),
        "cri-containerd" | "nerdctl" | "containerd" => Some("containerd"),
        "crio" => Some("cri-o"),
        "libpod" | "libpod-payload" => Some("podman"),
        _ => None,
    }
}

/// A folder under which a runtime keeps its containers.
fn parent_runtime(segment: &str) -> Option<&'static str> {
    match segment {
        "docker" | "actions_job" => Some("docker"),
        "libpod_parent" => Some("podman"),
        "lxc" => Some("lxc"),
        "ecs" => Some("ecs"),
        "default" | "k8s.io" | "buildkit" => Some("containerd"),
        _ => None,
    }
}

/// `pod<uid>`, `kubepods-burstable-pod<uid with _>.slice`, with or without a container behind `:`.
fn pod_uid(segment: &str) -> Option<CompactString> {
    let bare = segment.split(':').next()?;
    let bare = bare.strip_suffix(".slice").unwrap_or(bare);
    let uid = if bare.contains("kubepods") {
        bare.rsplit("-pod").next().filter(|uid| uid.len() < bare.len())?
    } else {
        bare.strip_prefix("pod")?
    };
    let uid = CompactString::from_iter(uid.chars().map(|c| if c == '_' { '-' } else { c }));
    is_pod_uid(&uid).then_some(uid)
}

/// A UUID, or the 32 hex digits of a static pod's manifest.
fn is_pod_uid(uid: &str) -> bool {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    if uid.len() == 32 {
        return is_hex(uid);
    }
    uid.split('-').map(str::len).eq(GROUPS) && uid.split('-').all(is_hex)
}

#[cfg(test)]
mod tests;
