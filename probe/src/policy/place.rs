//! Where a workload of this node is, for a kernel: its processes, its cgroups, and the addresses where it listens.

use crate::attach::cgroup;
use crate::enforce::rule::{Caller, Target};
use crate::identity::process;
use apisec_engine::policy::measure::Place;
use apisec_engine::snapshot::{Kind, Snapshot, WorkloadView};
use compact_str::CompactString;
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// cgroups below that of a workload: a unit with as many is no service.
const MAX_CGROUPS: usize = 256;
/// Processes of one name.
const MAX_PROCESSES: usize = 256;
/// Bytes of a table in `/proc/<pid>/net`: some hundred thousand sockets.
const MAX_TABLE: usize = 32 << 20;
const LISTEN: &str = "0A";

/// The callers that a place stands for.
#[must_use]
pub fn callers(place: &Place, snapshot: &Snapshot) -> Vec<Caller> {
    let Some(workload) = snapshot.workloads.iter().find(|workload| workload.id == place.id) else {
        return address(place).map(|address| Caller::Address(address.ip())).into_iter().collect();
    };
    match workload.kind {
        Kind::External => address(place).map(|address| Caller::Address(address.ip())).into_iter().collect(),
        Kind::Unit | Kind::Container | Kind::Pod => {
            let cgroups = cgroups(workload);
            if cgroups.is_empty() { processes(workload) } else { cgroups }
        }
        _ => processes(workload),
    }
}

/// Where a place can be connected to.
#[must_use]
pub fn targets(place: &Place, snapshot: &Snapshot) -> Vec<Target> {
    let listens = listens(place, snapshot);
    let mut targets: BTreeSet<(IpAddr, u16)> = BTreeSet::new();
    for place in listens.addresses {
        if place.ip().is_unspecified() {
            targets.extend(listens.local.iter().map(|address| (*address, place.port())));
        } else {
            targets.insert((place.ip(), place.port()));
        }
    }
    let target = |(addr, port): (IpAddr, u16)| Target {
        addr: Some(addr),
        port: (port != 0).then_some(port),
        netns: 0,
    };
    targets.into_iter().map(target).collect()
}

/// Where a place listens, for rules about requests: unspecified addresses as they are.
#[must_use]
pub fn service(place: &Place, snapshot: &Snapshot) -> Vec<Target> {
    let listens = listens(place, snapshot);
    listens.addresses.into_iter().map(|place| Target::new(place.ip(), place.port())).collect()
}

struct Listens {
    addresses: BTreeSet<SocketAddr>,
    /// Addresses of the network namespace.
    local: Vec<IpAddr>,
}

fn listens(place: &Place, snapshot: &Snapshot) -> Listens {
    let workload = snapshot.workloads.iter().find(|workload| workload.id == place.id);
    let known = address(place);
    let pid = workload.filter(|workload| workload.kind != Kind::External).map_or(0, |workload| workload.pid);
    if pid == 0 {
        return Listens { addresses: known.into_iter().collect(), local: Vec::new() };
    }
    let mut addresses: BTreeSet<SocketAddr> = BTreeSet::new();
    let pids = workload.map(pids).unwrap_or_default();
    let sockets: BTreeSet<u64> = pids.iter().flat_map(|pid| process::sockets(*pid)).collect();
    let listening = listeners(pid).into_iter().filter(|(_, inode)| sockets.contains(inode));
    addresses.extend(listening.map(|(place, _)| place));
    // One program may be several workloads, by port.
    if let Some(port) = port_of(&place.id).or(known.map(|known| known.port())) {
        addresses.retain(|place| place.port() == port);
    }
    if addresses.is_empty() {
        addresses.extend(known);
    }
    Listens { addresses, local: local(pid) }
}

/// The port in an id such as `process:orders:8080`.
fn port_of(id: &str) -> Option<u16> {
    let bare = id.split('@').next()?;
    id.starts_with("process:").then(|| bare.rsplit_once(':').and_then(|(_, port)| port.parse().ok()))?
}

fn address(place: &Place) -> Option<SocketAddr> {
    let text = place.address.as_str();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 0)))
}

fn processes(workload: &WorkloadView) -> Vec<Caller> {
    pids(workload).into_iter().map(Caller::Process).collect()
}

/// The processes of a workload: all of its name in its network namespace.
fn pids(workload: &WorkloadView) -> Vec<u32> {
    let mut pids = process::called(&workload.exe, &workload.name, workload.netns);
    // One that is gone may have left its number to another program.
    let same = |path: CompactString| workload.exe.is_empty() || path == workload.exe.as_str();
    let there = process::start(workload.pid).is_some() && process::program(workload.pid).is_none_or(same);
    if there && !pids.contains(&workload.pid) {
        pids.push(workload.pid);
    }
    pids.truncate(MAX_PROCESSES);
    pids
}

/// The cgroup of a unit, container or pod, and all below it.
fn cgroups(workload: &WorkloadView) -> Vec<Caller> {
    let Some(root) = cgroup::mount_point() else { return Vec::new() };
    let Some(path) = own_cgroup(workload.pid) else { return Vec::new() };
    let marks = [&workload.container, &workload.pod_uid, &workload.unit];
    let Some(mark) = marks.into_iter().find(|mark| !mark.is_empty()) else { return Vec::new() };
    // The pod's UID has underscores in the path of systemd's driver.
    let spelt = mark.replace('-', "_");
    let parts: Vec<_> = path.components().collect();
    let fits = |part: &std::path::Component<'_>| {
        let name = part.as_os_str().to_string_lossy();
        name.contains(mark.as_str()) || name.contains(&spelt)
    };
    let Some(at) = parts.iter().position(fits) else { return Vec::new() };
    let below: PathBuf = parts.iter().take(at + 1).collect();
    let mut found = Vec::new();
    walk(&root.join(below.strip_prefix("/").unwrap_or(&below)), &mut found);
    found.into_iter().map(Caller::Cgroup).collect()
}

fn walk(folder: &Path, found: &mut Vec<u64>) {
    let Ok(metadata) = fs::symlink_metadata(folder) else { return };
    if !metadata.is_dir() || found.len() >= MAX_CGROUPS {
        return;
    }
    found.push(metadata.ino());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), found);
        }
    }
}

fn own_cgroup(pid: u32) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(PathBuf::from)
}

fn table(pid: u32, name: &str) -> String {
    let bytes = process::read_bounded(&format!("/proc/{pid}/net/{name}"), MAX_TABLE).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// Addresses and inodes of the sockets that listen in a process's network namespace.
pub(crate) fn listeners(pid: u32) -> Vec<(SocketAddr, u64)> {
    let in_family = |(family, wide): (&str, bool)| {
        let table = table(pid, family);
        table.lines().skip(1).filter_map(|line| listener(line, wide)).collect::<Vec<_>>()
    };
    [("tcp", false), ("tcp6", true)].into_iter().flat_map(in_family).collect()
}

/// Address and inode of a listening socket in a line of `/proc/net/tcp`.
fn listener(line: &str, wide: bool) -> Option<(SocketAddr, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
    if *state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok();
    let address = if wide {
        let mut bytes = [0_u8; 16];
        for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            chunk.copy_from_slice(&word(at)?.to_ne_bytes());
        }
        IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
    } else {
        IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes()))
    };
    Some((SocketAddr::new(address, port), inode.parse().ok()?))
}

/// The addresses of a process's network namespace.
fn local(pid: u32) -> Vec<IpAddr> {
    let mut found = BTreeSet::new();
    let trie = table(pid, "fib_trie");
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("|-- ") {
            last = text.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(last.map(IpAddr::V4));
        }
    }
    for line in table(pid, "if_inet6").lines() {
        let digits = line.split_whitespace().next().unwrap_or_default();
        found.extend(u128::from_str_radix(digits, 16).ok().map(|bits| IpAddr::V6(Ipv6Addr::from(bits))));
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn ourselves(address: &str, id: &str) -> (Place, Snapshot) {
        let exe = fs::read_link("/proc/self/exe").unwrap().display().to_string();
        let place = Place { id: id.into(), pid: std::process::id(), address: address.into() };
        let workload = WorkloadView {
            id: id.into(),
            name: "nobody".into(),
            kind: Kind::Process,
            pid: std::process::id(),
            exe,
            command: String::new(),
            user: String::new(),
            unit: String::new(),
            container: String::new(),
            pod_uid: String::new(),
            netns: 0,
            address: address.into(),
            owner: String::new(),
            calls_in: 0,
            calls_out: 0,
        };
        (place, Snapshot { workloads: vec![workload], ..Snapshot::default() })
    }

    #[test]
    fn a_listener_is_found_where_it_listens() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        let (place, snapshot) = ourselves("", &format!("process:tests:{}", at.port()));
        assert_eq!(targets(&place, &snapshot), [Target::new(at.ip(), at.port())]);
        assert_eq!(callers(&place, &snapshot), [Caller::Process(std::process::id())]);
    }

    #[test]
    fn a_wildcard_is_every_address_of_the_node() {
        let socket = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let (place, snapshot) = ourselves("", &format!("process:tests:{port}"));
        let found = targets(&place, &snapshot);
        assert!(found.contains(&Target::new(Ipv4Addr::LOCALHOST.into(), port)), "{found:?}");
        assert_eq!(service(&place, &snapshot), [Target::new(Ipv4Addr::UNSPECIFIED.into(), port)]);
    }

    #[test]
    fn an_address_is_itself() {
        let place = Place { id: "192.0.2.7:80".into(), pid: 0, address: "192.0.2.7:80".into() };
        let nobody = Snapshot::default();
        assert_eq!(targets(&place, &nobody), [Target::new("192.0.2.7".parse().unwrap(), 80)]);
        assert_eq!(callers(&place, &nobody), [Caller::Address("192.0.2.7".parse().unwrap())]);
    }
}
