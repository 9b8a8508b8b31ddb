//! Every workload of this node as `/proc` shows it now, without any traffic: for a command that names one.

use super::describe;
use super::process::{self, Process};
use apisec_engine::snapshot::WorkloadView;
use apisec_proto::call::Workload;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

/// Listening sockets of a network namespace, by inode.
type Listening = HashMap<u64, SocketAddr>;

/// The workloads; those with one id once, with the address where they listen.
#[must_use]
pub fn roster() -> Vec<WorkloadView> {
    let own = Process::read(std::process::id()).map_or(0, |ourselves| ourselves.netns);
    let mut namespaces: HashMap<u64, Listening> = HashMap::new();
    let mut found: BTreeMap<compact_str::CompactString, Workload> = BTreeMap::new();
    for pid in process::all_pids() {
        let Some(process) = Process::read(pid).filter(|process| !process.exe.is_empty()) else { continue };
        let listening = namespaces.entry(process.netns).or_insert_with(|| listening(pid));
        let held = process::sockets(pid);
        let place = held.iter().filter_map(|inode| listening.get(inode)).min_by_key(|place| place.port());
        let foreign = process.netns != own;
        let mut workload = describe::process(&process, place.map(SocketAddr::port), foreign, "".into());
        if let Some(place) = place {
            workload.address = compact_str::format_compact!("{place}");
        }
        found.entry(workload.id.clone()).or_insert(workload);
    }
    found.into_values().map(view).collect()
}

fn view(workload: Workload) -> WorkloadView {
    WorkloadView {
        id: workload.id.into(),
        name: workload.name.into(),
        kind: workload.kind.into(),
        pid: workload.pid,
        exe: workload.exe.into(),
        command: workload.command.into(),
        user: workload.user.into(),
        unit: workload.unit.into(),
        container: workload.container.into(),
        pod_uid: workload.pod_uid.into(),
        netns: workload.netns,
        address: workload.address.into(),
        owner: workload.owner.into(),
        calls_in: 0,
        calls_out: 0,
    }
}

fn listening(pid: u32) -> Listening {
    let places = crate::policy::place::listeners(pid);
    places.into_iter().map(|(place, inode)| (inode, place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_on_it() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap().to_string();
        let pid = std::process::id();
        // Under one unit all processes are one workload: then some address is known.
        let found = roster();
        let known = found.iter().find(|workload| workload.pid == pid || !workload.unit.is_empty());
        assert!(
            known.is_some_and(|workload| workload.address == at || !workload.unit.is_empty()),
            "{found:#?}"
        );
    }
}
