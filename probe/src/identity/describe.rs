//! What a workload is called and what is said of it, from what is known of its process or its address.
//!
//! Ids are the same after a restart: they hold names, ports, container ids and pod UIDs, never pids.

use super::cgroup::Placement;
use super::mask;
use super::process::Process;
use apisec_proto::call::{Workload, WorkloadKind};
use compact_str::{CompactString, format_compact};
use std::net::{IpAddr, SocketAddr};

/// What is shown of a pod UID.
const SHORT_UID: usize = 8;

/// A workload by its process. `port` is the lowest one that it listens on; `foreign` tells that its network
/// namespace is not ours.
pub(super) fn process(process: &Process, port: Option<u16>, foreign: bool, user: CompactString) -> Workload {
    let described = Workload {
        pid: process.pid,
        exe: process.exe.clone(),
        command: mask::command_line(&process.args, process.args_cut()),
        user,
        netns: process.netns,
        ..unknown()
    };
    placed(&process.placement, &process.name(), port, foreign.then_some(process.netns), described)
}

/// A network namespace that went with its last process: it has no number that could be looked up.
pub(super) const GONE_NAMESPACE: u64 = 0;

/// A workload by where its process was put, for a process that is gone.
pub(super) fn placed(
    placement: &Placement,
    program: &str,
    port: Option<u16>,
    foreign: Option<u64>,
    described: Workload,
) -> Workload {
    let short = placement.short_container();
    let (kind, id, name) = if !placement.pod_uid.is_empty() {
        let name = placement.pod_uid.get(..SHORT_UID).unwrap_or_default();
        (WorkloadKind::Pod, format_compact!("pod:{}", placement.pod_uid), name)
    } else if !placement.container.is_empty() {
        (WorkloadKind::Container, format_compact!("container:{short}"), short)
    } else if !placement.unit.is_empty() {
        (WorkloadKind::Unit, format_compact!("unit:{}", placement.unit), placement.unit.as_str())
    } else {
        (WorkloadKind::Process, process_id(program, port, foreign), program)
    };
    Workload {
        id,
        name: name.into(),
        kind,
        unit: placement.unit.clone(),
        container: placement.container.clone(),
        runtime: placement.runtime.into(),
        pod_uid: placement.pod_uid.clone(),
        ..described
    }
}

fn process_id(program: &str, port: Option<u16>, netns: Option<u64>) -> CompactString {
    match (port, netns) {
        (None, Some(GONE_NAMESPACE)) => format_compact!("process:{program}@gone"),
        (Some(port), Some(netns)) => format_compact!("process:{program}:{port}@{netns}"),
        (Some(port), None) => format_compact!("process:{program}:{port}"),
        (None, Some(netns)) => format_compact!("process:{program}@{netns}"),
        (None, None) => format_compact!("process:{program}"),
    }
}

/// Programs of this name that do not listen, once a server has turned out to be the one that had the name alone.
pub(super) fn only_calling(id: &str) -> CompactString {
    format_compact!("{id}:client")
}

/// A server that is not on this node: its port is part of what it is.
pub(super) fn external_server(address: SocketAddr, host: Option<&str>) -> Workload {
    let name = match host {
        Some(host) => format_compact!("{host}:{}", address.port()),
        None => format_compact!("{address}"),
    };
    Workload { id: format_compact!("external:{address}"), name, ..external(format_compact!("{address}")) }
}

/// A client that is not on this node: its port changes with every connection.
pub(super) fn external_client(address: IpAddr, host: Option<&str>) -> Workload {
    let text = format_compact!("{address}");
    Workload {
        id: format_compact!("external:{address}"),
        name: host.map_or(text.clone(), Into::into),
        ..external(text)
    }
}

/// Peers beyond the cap.
pub(super) fn external_overflow() -> Workload {
    Workload { id: "external:overflow".into(), name: "overflow".into(), ..external("".into()) }
}

/// Workloads beyond the cap.
pub(super) fn process_overflow() -> Workload {
    Workload { id: "process:overflow".into(), name: "overflow".into(), ..unknown() }
}

/// Someone on this node whose socket was gone before we looked.
pub(super) fn unknown() -> Workload {
    Workload::named("process:unknown", "unknown", WorkloadKind::Process)
}

fn external(address: CompactString) -> Workload {
    Workload { kind: WorkloadKind::External, address, ..unknown() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2a9c1b2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8";

    fn of(path: &str, port: Option<u16>, foreign: bool) -> Workload {
        let seen = Process {
            pid: 7,
            exe: "/usr/sbin/nginx".into(),
            comm: "nginx".into(),
            netns: 99,
            placement: Placement::of_path(path),
            ..Process::default()
        };
        process(&seen, port, foreign, "www-data".into())
    }

    #[test]
    fn ids_say_where_a_workload_lives() {
        let uid = "0d9f8b6c-5a4e-4c3d-9b2a-1f0e9d8c7b6a";
        for (path, port, foreign, id, name) in [
            ("/", Some(80), false, "process:nginx:80".to_owned(), "nginx"),
            ("/", Some(80), true, "process:nginx:80@99".to_owned(), "nginx"),
            ("/", None, false, "process:nginx".to_owned(), "nginx"),
            ("/", None, true, "process:nginx@99".to_owned(), "nginx"),
            (
                "/system.slice/nginx.service",
                Some(80),
                false,
                "unit:nginx.service".to_owned(),
                "nginx.service",
            ),
            (&format!("/docker/{ID}"), Some(80), true, "container:3f2a9c1b2d4e".to_owned(), "3f2a9c1b2d4e"),
            (&format!("/kubepods/pod{uid}/{ID}"), Some(80), true, format!("pod:{uid}"), "0d9f8b6c"),
        ] {
            let workload = of(path, port, foreign);
            assert_eq!((workload.id.as_str(), workload.name.as_str()), (id.as_str(), name));
        }
    }

    #[test]
    fn a_server_elsewhere_is_known_by_its_port_and_a_client_is_not() {
        let server = external_server("10.0.0.1:80".parse().unwrap(), Some("cart"));
        assert_eq!((server.id.as_str(), server.name.as_str()), ("external:10.0.0.1:80", "cart:80"));
        let client = external_client("10.0.0.9".parse().unwrap(), None);
        assert_eq!((client.id.as_str(), client.name.as_str()), ("external:10.0.0.9", "10.0.0.9"));
        let six = external_server("[2001:db8::1]:80".parse().unwrap(), None);
        assert_eq!(six.id, "external:[2001:db8::1]:80");
    }
}
