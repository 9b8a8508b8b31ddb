//! Draws the [`Survey`]: visits every network namespace, lists its listening sockets and finds the
//! processes that hold them. Slow (milliseconds to tenths of seconds); runs on a thread of its own.

use super::boot::BootClock;
use super::holders;
use super::namespace::{self, Namespace, Traveller};
use super::process::{self, MAX_ANCESTORS, Process, Stat};
use super::socket::{self, Socket};
use super::survey::{Listener, Map, Server, Survey};
use crate::reach::Reach;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Listening sockets of the node.
const MAX_LISTENERS: usize = 65_536;
/// Processes that hold listening sockets.
const MAX_HOLDERS: usize = 65_536;
/// Programs that open sockets for others: they name a socket only when nobody else holds it.
const SUPERVISORS: [&str; 6] = ["systemd", "init", "inetd", "xinetd", "dockerd", "supervisord"];

/// New sockets are first looked for in processes that are younger than this.
const YOUTH: Duration = Duration::from_secs(10);
/// Addresses of namespaces are asked for again after this.
const ADDRESSES_LAST: Duration = Duration::from_secs(2);

/// What the surveyor may not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blind {
    /// Namespaces that could not be entered.
    pub(super) namespaces: usize,
    /// Processes whose descriptors could not be listed.
    pub(super) processes: usize,
    /// Listening sockets beyond the cap.
    pub(super) listeners: usize,
}

/// A listening socket and where it was found.
type Bound = (u64, Socket);

/// See the module.
pub(super) struct Surveyor {
    reach: Reach,
    pub(super) traveller: Traveller,
    pub(super) namespaces: HashMap<u64, Namespace>,
    bound: HashMap<u64, Bound>,
    holders: HashMap<u64, Vec<u32>>,
    processes: HashMap<u32, Arc<Process>>,
    lowest: HashMap<(u32, u64), u16>,
    blind: Blind,
    searched_until: u64,
    seen: HashMap<u32, Instant>,
    addressed: Instant,
    /// Connected sockets whose holders are noted by the next search, with a holder each once it is known.
    pub(super) connected: Map<u64, Option<u32>>,
}

impl Surveyor {
    /// A surveyor of the calling thread, which it must not leave.
    pub(super) fn new(reach: Reach) -> Self {
        Self {
            reach,
            traveller: Traveller::here(),
            namespaces: HashMap::new(),
            bound: HashMap::new(),
            holders: HashMap::new(),
            processes: HashMap::new(),
            lowest: HashMap::new(),
            blind: Blind::default(),
            searched_until: 0,
            seen: HashMap::new(),
            addressed: Instant::now(),
            connected: Map::default(),
        }
    }

    /// What it could not see last time.
    pub(super) fn blind(&self) -> Blind {
        self.blind
    }

    /// Processes that were born before this tick have been searched for listening sockets at least once.
    pub(super) fn searched_until(&self) -> u64 {
        self.searched_until
    }

    /// Looks at the node again. Processes that are new, and those in `suspects`, are searched for listening
    /// sockets; all are when a new socket is not among them, or when `thorough` and one has no holder yet.
    pub(super) fn survey(&mut self, suspects: &[u32], thorough: bool) -> Survey {
        let began = BootClock::read().tick();
        let pids = self.reach.keep(process::all_pids());
        self.visit(&pids);
        let changed = self.forget_changed();
        let young = self.young(&pids);
        self.search_for_holders(&pids, young.iter().chain(&changed).chain(suspects), thorough);
        self.searched_until = began;
        self.meet_holders();
        self.draw()
    }

    /// Goes through all namespaces without asking who holds their sockets.
    pub(super) fn visit_all(&mut self) {
        let pids = self.reach.keep(process::all_pids());
        self.visit(&pids);
    }

    /// Ports that are listened on, by namespace.
    pub(super) fn listening_ports(&self) -> HashSet<(u64, u16)> {
        self.bound.values().map(|(netns, socket)| (*netns, socket.local.port())).collect()
    }

    /// Lists the listening sockets of every namespace. What namespaces are called is asked less often.
    fn visit(&mut self, pids: &[u32]) {
        let mut known = std::mem::take(&mut self.namespaces);
        if self.addressed.elapsed() > ADDRESSES_LAST {
            (self.addressed, known) = (Instant::now(), HashMap::new());
        }
        self.bound.clear();
        self.blind = Blind { processes: self.blind.processes, ..Blind::default() };
        for (inode, door) in namespace::doors(pids, self.reach.is_whole()) {
            let known = known.remove(&inode).map(|known| Namespace { door: door.clone(), ..known });
            let look = || (known.unwrap_or_else(|| namespace::describe(inode, door.clone())), listening());
            match self.traveller.inside(inode, &door, look) {
                Ok((namespace, sockets)) => self.note(namespace, sockets),
                Err(_) => self.blind.namespaces += 1,
            }
        }
    }

    fn note(&mut self, namespace: Namespace, sockets: Vec<Socket>) {
        let netns = namespace.inode;
        self.namespaces.insert(netns, namespace);
        for socket in sockets {
            if self.bound.len() < MAX_LISTENERS {
                self.bound.insert(socket.inode, (netns, socket));
            } else {
                self.blind.listeners += 1;
            }
        }
    }

    /// Processes that were first seen a short while ago, the newest first.
    fn young(&mut self, pids: &[u32]) -> Vec<u32> {
        let first = self.searched_until == 0;
        let known = std::mem::take(&mut self.seen);
        let now = Instant::now();
        let old = now.checked_sub(YOUTH).unwrap_or(now);
        let since = |pid: &u32| known.get(pid).copied().unwrap_or(if first { old } else { now });
        self.seen = pids.iter().map(|pid| (*pid, since(pid))).collect();
        let mut young: Vec<u32> = pids.iter().filter(|pid| since(pid) > old).copied().collect();
        young.sort_unstable_by_key(|pid| std::cmp::Reverse(since(pid)));
        young
    }

    /// Finds who holds the listening sockets, first where it is likely.
    fn search_for_holders<'a>(
        &mut self,
        pids: &[u32],
        likely: impl Iterator<Item = &'a u32>,
        thorough: bool,
    ) {
        self.holders.retain(|inode, _| self.bound.contains_key(inode));
        let mut sought: Vec<u64> = Vec::new();
        for inode in self.bound.keys() {
            let held = self.holders.get(inode).map(|pids| !pids.is_empty() || !thorough);
            sought.extend((held != Some(true)).then_some(*inode));
            self.holders.entry(*inode).or_default();
        }
        if self.searched_until != 0 {
            likely.for_each(|pid| self.search(*pid));
            self.search_parents(&sought);
        }
        if self.searched_until == 0
            || sought.iter().any(|inode| self.holders.get(inode).is_none_or(Vec::is_empty))
        {
            self.blind.processes = 0;
            pids.iter().for_each(|pid| self.search(*pid));
        }
    }

    /// New workers may be found before their master, which has been there for long.
    fn search_parents(&mut self, sought: &[u64]) {
        let mut next: HashSet<u32> =
            sought.iter().filter_map(|inode| self.holders.get(inode)).flatten().copied().collect();
        let mut searched = next.clone();
        for _ in 0..MAX_ANCESTORS {
            let parents: HashSet<u32> =
                next.iter().filter_map(|pid| Stat::read(*pid)).map(|stat| stat.parent).collect();
            next = parents.into_iter().filter(|pid| *pid > 1 && searched.insert(*pid)).collect();
            next.iter().for_each(|pid| self.search(*pid));
        }
    }

    /// Drops holders that have ended, whose pid is another process's, or that run another program by now.
    fn forget_changed(&mut self) -> Vec<u32> {
        let same = |pid: u32, known: &Process| {
            Stat::read(pid).is_some_and(|stat| stat.start == known.start && stat.comm == known.comm)
        };
        let changed: Vec<u32> =
            self.processes.iter().filter(|(pid, known)| !same(**pid, known)).map(|(pid, _)| *pid).collect();
        for pid in &changed {
            self.processes.remove(pid);
            self.holders.values_mut().for_each(|holders| holders.retain(|holder| holder != pid));
        }
        changed
    }

    fn search(&mut self, pid: u32) {
        let (holders, connected) = (&mut self.holders, &mut self.connected);
        let outcome = holders::sockets_of(pid, |inode| {
            if let Some(holder) = connected.get_mut(&inode) {
                holder.get_or_insert(pid);
            }
            if let Some(pids) = holders.get_mut(&inode).filter(|pids| !pids.contains(&pid)) {
                pids.push(pid);
            }
        });
        let denied = matches!(outcome, Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM));
        self.blind.processes += usize::from(denied);
    }

    /// Reads the processes that hold sockets and have not been read yet.
    fn meet_holders(&mut self) {
        let wanted: HashSet<u32> = self.holders.values().flatten().copied().take(MAX_HOLDERS).collect();
        self.processes.retain(|pid, _| wanted.contains(pid));
        for pid in wanted {
            if let (false, Some(read)) = (self.processes.contains_key(&pid), Process::read(pid)) {
                self.processes.insert(pid, Arc::new(read));
            }
        }
        for pids in self.holders.values_mut() {
            pids.retain(|pid| self.processes.contains_key(pid));
        }
    }

    fn draw(&mut self) -> Survey {
        let mut survey = Survey { own: self.traveller.own(), ..Survey::default() };
        for namespace in self.namespaces.values() {
            survey.cookies.extend((namespace.cookie != 0).then_some((namespace.cookie, namespace.inode)));
            for address in &namespace.addresses {
                survey.addresses.entry(*address).or_default().push(namespace.inode);
            }
        }
        survey.addresses.values_mut().for_each(|owners| owners.sort_unstable());
        let mut bound: Vec<_> = self.bound.values().copied().collect();
        bound.sort_unstable_by_key(|(netns, socket)| (socket.local.port(), *netns, socket.inode));
        let mut masters = HashMap::new();
        for (netns, socket) in bound {
            let server =
                self.server_of(socket.inode).map(|family| enlist(&mut survey, &mut masters, family, socket));
            let listener = Listener { address: socket.local.ip(), v6only: socket.v6only, server };
            survey.listeners.entry((netns, socket.local.port())).or_default().push(listener);
        }
        self.remember_lowest(&mut survey);
        survey.members = members(&survey.servers);
        survey
    }

    /// The processes that share a listening socket: the oldest first.
    fn server_of(&self, inode: u64) -> Option<Family> {
        let holders = self.holders.get(&inode)?.iter().filter_map(|pid| self.processes.get(pid));
        Family::of(holders.cloned().collect())
    }

    /// A server keeps the lowest port it ever had, so that opening another one does not rename it.
    fn remember_lowest(&mut self, survey: &mut Survey) {
        let mut lowest = HashMap::with_capacity(survey.servers.len());
        for server in &mut survey.servers {
            let key = (server.master.pid, server.master.start);
            server.port = self.lowest.get(&key).map_or(server.port, |known| server.port.min(*known));
            lowest.insert(key, server.port);
        }
        self.lowest = lowest;
    }
}

/// Processes of one executable that share a socket.
struct Family {
    master: Arc<Process>,
    members: Vec<(u32, u64)>,
}

impl Family {
    fn of(mut holders: Vec<Arc<Process>>) -> Option<Self> {
        if !holders.iter().all(|holder| is_supervisor(holder)) {
            holders.retain(|holder| !is_supervisor(holder));
        }
        let oldest = holders.iter().min_by_key(|holder| (holder.start, holder.pid))?.clone();
        holders.retain(|holder| holder.exe == oldest.exe);
        let master = eldest(&holders, oldest);
        let members = holders.iter().map(|holder| (holder.pid, holder.start)).collect();
        Some(Self { master, members })
    }
}

/// Starts within one tick do not tell who is older; parents do.
fn eldest(family: &[Arc<Process>], mut master: Arc<Process>) -> Arc<Process> {
    for _ in 0..MAX_ANCESTORS {
        let Some(parent) = family.iter().find(|process| process.pid == master.parent) else { break };
        master = parent.clone();
    }
    master
}

fn is_supervisor(process: &Process) -> bool {
    let program = process.exe.rsplit('/').next().unwrap_or_default();
    process.pid == 1 || SUPERVISORS.contains(&program)
}

fn enlist(
    survey: &mut Survey,
    masters: &mut HashMap<(u32, u64), usize>,
    family: Family,
    socket: Socket,
) -> usize {
    let port = socket.local.port();
    let index = *masters.entry((family.master.pid, family.master.start)).or_insert_with(|| {
        survey.servers.push(Server { master: family.master, port, members: Vec::new() });
        survey.servers.len() - 1
    });
    if let Some(server) = survey.servers.get_mut(index) {
        server.port = server.port.min(port);
        server.members.extend(family.members);
        server.members.sort_unstable();
        server.members.dedup();
    }
    index
}

/// A process that shares the sockets of several servers belongs to the one that it is the master of.
fn members(servers: &[Server]) -> Map<u32, (u64, usize)> {
    let mut members = Map::default();
    for (index, server) in servers.iter().enumerate() {
        for (pid, start) in &server.members {
            members.entry(*pid).or_insert((*start, index));
        }
    }
    for (index, server) in servers.iter().enumerate() {
        members.insert(server.master.pid, (server.master.start, index));
    }
    members
}

fn listening() -> Vec<Socket> {
    let mut sockets = Vec::new();
    let _incomplete = socket::listening(|socket| {
        if sockets.len() < MAX_LISTENERS {
            sockets.push(socket);
        }
    });
    sockets
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn holder(pid: u32, parent: u32, start: u64, exe: &str) -> Arc<Process> {
        Arc::new(Process { pid, parent, start, exe: exe.into(), ..Process::default() })
    }

    #[test]
    fn workers_belong_to_the_oldest_of_their_kind() {
        let family =
            Family::of(vec![holder(12, 11, 5, "/n"), holder(11, 1, 5, "/n"), holder(13, 11, 6, "/n")])
                .unwrap();
        assert_eq!(family.master.pid, 11);
        assert_eq!(family.members.len(), 3);
    }

    #[test]
    fn a_program_that_inherited_a_socket_by_accident_is_no_server() {
        let family = Family::of(vec![holder(11, 1, 5, "/n"), holder(12, 11, 6, "/usr/bin/curl")]).unwrap();
        assert_eq!((family.master.pid, family.members.len()), (11, 1));
    }

    #[test]
    fn socket_activation_names_the_service_and_not_systemd() {
        let family =
            Family::of(vec![holder(1, 0, 0, "/usr/lib/systemd/systemd"), holder(12, 1, 6, "/s")]).unwrap();
        assert_eq!(family.master.pid, 12);
        let alone = Family::of(vec![holder(1, 0, 0, "/usr/lib/systemd/systemd")]).unwrap();
        assert_eq!(alone.master.pid, 1);
    }

    #[test]
    fn a_holder_whose_pid_was_used_again_is_forgotten() {
        let mut surveyor = Surveyor::new(Reach::Node);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        surveyor.survey(&[], false);
        let us = std::process::id();
        let another = Process { start: 1, ..(**surveyor.processes.get(&us).unwrap()).clone() };
        surveyor.processes.insert(us, Arc::new(another));
        assert_eq!(surveyor.forget_changed(), [us]);
        assert!(surveyor.holders.values().all(|holders| !holders.contains(&us)));
        let survey = surveyor.survey(&[us], false);
        assert!(survey.members.contains_key(&us));
        drop(listener);
    }

    #[test]
    fn only_processes_that_appeared_since_are_young() {
        let mut surveyor = Surveyor::new(Reach::Node);
        assert_eq!(surveyor.young(&[1, 2]), [0; 0]);
        surveyor.searched_until = 1;
        assert_eq!(surveyor.young(&[1, 2, 3]), [3]);
        assert_eq!(surveyor.young(&[1, 3, 4]), [4, 3]);
        assert_eq!(surveyor.young(&[1, 2]), [2]);
    }

    #[test]
    fn our_own_listener_is_surveyed_and_keeps_its_lowest_port() {
        let mut surveyor = Surveyor::new(Reach::Node);
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let survey = surveyor.survey(&[], false);
        let (_, index) = survey.members.get(&std::process::id()).copied().unwrap();
        let port = survey.servers.get(index).unwrap().port;
        assert!(port <= first.local_addr().unwrap().port());
        drop(first);
        let _later = TcpListener::bind("127.0.0.1:0").unwrap();
        let survey = surveyor.survey(&[], false);
        let (_, index) = survey.members.get(&std::process::id()).copied().unwrap();
        assert!(survey.servers.get(index).unwrap().port <= port);
    }
}
