//! Names the ends of connections of this node, live: servers by their listening sockets, clients by the
//! process that called `connect`, everybody else by address.
//!
//! The capture thread only looks things up, and reads at most a bounded number of processes a second. What
//! it does not know yet is asked of the [`Resolver`]; until the answer comes, names are not settled, and the
//! pipeline holds the calls back for a moment. This never waits.

mod callers;
mod ends;
mod gaps;
mod servers;

use super::address_book::{Hosts, Users};
use super::boot::BootClock;
use super::cgroup::Placement;
use super::process::Process;
use super::registry::{Holder, Registry};
use super::resolver::{Answer, Question, Resolver, Wanted};
use super::standing::Standing;
use super::survey::{Map, Survey};
use super::surveyor::Blind;
use super::{Certainty, Identity, Parties, describe, process};
use crate::flow::Flow;
use crate::reach::Reach;
use crate::source::SourceError;
use apisec_abi::{Exec, Exit, Open};
use apisec_engine::degradation::Degradation;
use apisec_engine::rename::Rename;
use apisec_proto::segment::{ConnId, Side};
use callers::Callers;
use ends::Ends;
use foldhash::fast::RandomState;
use gaps::Gaps;
use lru::LruCache;
use servers::Servers;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections whose ends are remembered; the least recently asked for is forgotten and looked up anew.
const MAX_CONNECTIONS: usize = 65_536;
/// Cgroups whose placement is remembered.
const MAX_CGROUPS: usize = 8_192;
/// Processes that the capture thread reads in a second: at about 60 µs each, 3 % of a processor.
const READS_PER_SECOND: u32 = 500;
/// How long the start waits for the first survey before it goes on without; usually some 20 ms.
const START_PATIENCE: Duration = Duration::from_secs(1);
/// The thread that looks is told of started programs this often, in nanoseconds.
const TELL_STARTED: u64 = 50_000_000;
/// A process younger than this is often about to become a server, nanoseconds...
const INFANCY: u64 = 1_000_000_000;
/// ...and one that is younger than this may yet.
const YOUTH: u64 = 5_000_000_000;
/// An answer that did not come is asked for again after so many ticks.
const ASK_AGAIN: u64 = 2;
/// Inode of the initial pid namespace (`PROC_PID_INIT_INO`): the one that the kernel's pids are of.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// A workload's number, and how good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    number: u32,
    certainty: Certainty,
}

impl Named {
    const fn settled(number: u32) -> Self {
        Self { number, certainty: Certainty::Settled }
    }

    const fn asked(number: u32) -> Self {
        Self { number, certainty: Certainty::Asked }
    }

    /// The kernel or the next moment may tell more.
    const fn young(number: u32) -> Self {
        Self { number, certainty: Certainty::Young }
    }

    const fn later(number: u32) -> Self {
        Self { number, certainty: Certainty::Later }
    }

    fn is_settled(self) -> bool {
        self.certainty == Certainty::Settled
    }
}

/// What is known of a cgroup.
enum Cgroup {
    /// Asked for at this tick.
    Asked(u64),
    /// Walked to.
    Known(Placement),
}

/// Names from the kernel's records, `/proc` and `sock_diag`.
pub struct LocalIdentity {
    registry: Registry,
    users: Users,
    hosts: Hosts,
    clients: Map<IpAddr, u32>,
    resolver: Option<Resolver>,
    read: fn(u32) -> Option<Process>,
    survey: Arc<Survey>,
    generation: u64,
    searched_until: u64,
    blind: Blind,
    servers: Servers,
    callers: Callers,
    ends: LruCache<ConnId, Ends, RandomState>,
    standing: Map<u64, Standing>,
    cgroups: Map<u64, Cgroup>,
    clock: BootClock,
    ticks: u64,
    told_started: u64,
    reads_left: u32,
    pids_are_ours: bool,
    gaps: Gaps,
}

impl LocalIdentity {
    /// Surveys the node and starts the thread that keeps looking.
    ///
    /// # Errors
    /// None today: what cannot be seen is a degradation. The type leaves room for a source to refuse.
    pub fn start() -> Result<Self, SourceError> {
        Self::within(Reach::Node)
    }

    /// As [`LocalIdentity::start`], for a part of the node: who lives elsewhere is known by address.
    ///
    /// # Errors
    /// None today.
    pub fn within(reach: Reach) -> Result<Self, SourceError> {
        let mut identity = Self::blank(Process::read);
        identity.resolver = Resolver::start(reach).ok();
        let until = Instant::now() + START_PATIENCE;
        for _survey_and_standing in 0..2 {
            let left = until.saturating_duration_since(Instant::now());
            match identity.resolver.as_ref().and_then(|resolver| resolver.wait(left)) {
                Some(answer) => identity.take(answer),
                None => identity.gaps.started_late = identity.resolver.is_some(),
            }
        }
        Ok(identity)
    }

    /// Knows nothing and asks nobody.
    fn blank(read: fn(u32) -> Option<Process>) -> Self {
        let namespace = rustix::fs::readlink("/proc/self/ns/pid", Vec::new()).unwrap_or_default();
        Self {
            registry: Registry::default(),
            users: Users::read(),
            hosts: Hosts::read(),
            clients: Map::default(),
            resolver: None,
            read,
            survey: Arc::default(),
            generation: 0,
            searched_until: 0,
            blind: Blind::default(),
            servers: Servers::default(),
            callers: Callers::default(),
            ends: LruCache::unbounded_with_hasher(RandomState::default()),
            standing: Map::default(),
            cgroups: Map::default(),
            clock: BootClock::read(),
            ticks: 0,
            told_started: 0,
            reads_left: READS_PER_SECOND,
            pids_are_ours: namespace.to_bytes() == INITIAL_PID_NAMESPACE.as_bytes(),
            gaps: Gaps::default(),
        }
    }

    /// Names the ends with what is known now.
    fn name(&mut self, conn: ConnId, flow: &Flow) -> (Named, Named) {
        let ends = *self.ends.get_or_insert_mut(conn, Ends::default);
        if self.ends.len() > MAX_CONNECTIONS {
            self.ends.pop_lru();
        }
        let dst = self.server(conn, flow, &ends);
        let src = self.client(conn, flow, &ends);
        (src, dst)
    }

    fn ask(&self, question: Question) -> bool {
        self.resolver.as_ref().is_some_and(|resolver| resolver.ask(question))
    }

    fn take_answers(&mut self) {
        while let Some(answer) = self.resolver.as_ref().and_then(Resolver::answer) {
            self.take(answer);
        }
    }

    fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Survey(survey, searched_until, blind) => self.take_survey(survey, searched_until, blind),
            Answer::Standing(standing) => self.standing = standing,
            Answer::Listener(netns, address) => self.servers.nobody_at(netns, address),
            Answer::Process(pid, start) => self.callers.looked_at(pid, start),
            Answer::Socket(wanted, netns, process) => self.take_socket(wanted, netns, process),
            Answer::Cgroup(id, placement) => {
                if self.cgroups.len() >= MAX_CGROUPS {
                    self.cgroups.clear();
                }
                self.cgroups.insert(id, Cgroup::Known(placement));
            }
        }
    }

    fn take_survey(&mut self, survey: Arc<Survey>, searched_until: u64, blind: Blind) {
        (self.searched_until, self.blind) = (searched_until, blind);
        if Arc::ptr_eq(&survey, &self.survey) {
            return;
        }
        self.retire_servers(&survey);
        let before = std::mem::replace(&mut self.survey, survey);
        self.generation += 1;
        let numbers = self.servers.renew(&self.survey);
        self.rename_servers(&before, &numbers);
        self.rename_callers();
    }

    /// A program whose id has become another is still the same workload.
    fn refine(&mut self, old: u32, server: usize, process: Holder) -> u32 {
        let new = self.server_number(server, None);
        let members = &self.survey.members;
        let belongs = |(pid, start): Holder| {
            let known = members.get(&pid).filter(|(known, _)| start == 0 || start == *known);
            (pid, start) == process || known.is_some_and(|(_, of)| *of == server)
        };
        self.registry.rename(old, new, belongs);
        new
    }

    /// What was found out about one end of a connection that is still open.
    fn take_socket(&mut self, wanted: Wanted, netns: u64, process: Option<Arc<Process>>) {
        let number = process.map(|process| match (wanted.side, self.server_of(&process)) {
            (_, Some(server)) => self.server_number(server, None),
            (Side::Server, None) => self.name_process(&process, Some(wanted.local.port())),
            (Side::Client, None) => self.name_process(&process, None),
        });
        let Some(ends) = self.ends.peek_mut(&wanted.conn) else { return };
        if wanted.cookie == wanted.conn.0 {
            ends.netns = netns;
        }
        match wanted.side {
            Side::Server => (ends.server, ends.server_lost) = (number, number.is_none()),
            Side::Client => (ends.client, ends.client_lost) = (number, number.is_none()),
        }
    }

    /// Enters a process that belongs to no server, or a server that has stopped listening.
    fn name_process(&mut self, process: &Process, port: Option<u16>) -> u32 {
        let user = self.users.name(process.uid);
        let workload = describe::process(process, port, self.is_foreign(process.netns), user);
        self.registry.enter_held(workload, (process.pid, process.start))
    }

    fn is_foreign(&self, netns: u64) -> bool {
        netns != 0 && netns != self.survey.own
    }

    fn unknown(&mut self) -> u32 {
        let unknown = describe::unknown();
        self.registry.number(&unknown.id).unwrap_or_else(|| self.registry.enter(unknown))
    }

    fn external_client(&mut self, address: IpAddr) -> u32 {
        if let Some(number) = self.clients.get(&address) {
            return *number;
        }
        let number = self.registry.enter(describe::external_client(address, self.hosts.name(address)));
        if self.clients.len() < super::MAX_EXTERNALS {
            self.clients.insert(address, number);
        }
        number
    }

    /// A workload by its cgroup alone: enough for containers, pods and units. `None` when the cgroup
    /// says nothing.
    fn by_cgroup(&mut self, id: u64, program: &str) -> Option<Named> {
        let placement = match self.cgroups.get(&id) {
            _ if id == 0 => return None,
            Some(Cgroup::Known(placement)) => placement.clone(),
            Some(Cgroup::Asked(at)) if self.ticks.saturating_sub(*at) < ASK_AGAIN => return self.asked(),
            _ => {
                self.ask(Question::Cgroup(id)).then(|| self.cgroups.insert(id, Cgroup::Asked(self.ticks)));
                return self.asked();
            }
        };
        if placement == Placement::default() {
            return None;
        }
        let described = describe::placed(&placement, program, None, None, describe::unknown());
        Some(Named::settled(self.registry.enter(described)))
    }

    fn asked(&mut self) -> Option<Named> {
        self.resolver.is_some().then(|| Named::asked(self.unknown()))
    }

    /// Asks whose the socket at one end is; once, and again when no answer came.
    fn ask_socket(&mut self, wanted: Wanted) -> bool {
        let ticks = self.ticks;
        let asked_at = self.ends.peek(&wanted.conn).map(|ends| ends.asked(wanted.side));
        let due = asked_at.flatten().is_none_or(|at| ticks.saturating_sub(at) >= ASK_AGAIN);
        if due
            && self.ask(Question::Socket(wanted))
            && let Some(ends) = self.ends.peek_mut(&wanted.conn)
        {
            ends.ask(wanted.side, ticks);
        }
        self.resolver.is_some()
    }
}

impl Identity for LocalIdentity {
    fn parties(&mut self, conn: ConnId, flow: &Flow) -> Parties {
        self.take_answers();
        let (src, dst) = self.name(conn, flow);
        Parties {
            src: self.registry.party(src.number),
            dst: self.registry.party(dst.number),
            certainty: src.certainty.max(dst.certainty),
        }
    }

    fn opened(&mut self, open: &Open) {
        self.ends.put(ConnId(open.cookie), Ends::of(open));
        if self.ends.len() > MAX_CONNECTIONS {
            self.ends.pop_lru();
        }
    }

    fn started(&mut self, exec: &Exec) {
        // Short-lived, but perhaps not that short: without it only a survey knows the namespace.
        let netns = self.resolver.as_ref().and_then(|_| process::netns(exec.tgid)).unwrap_or_default();
        self.callers.replaced(exec, netns);
        if exec.at.saturating_sub(self.told_started) > TELL_STARTED && self.ask(Question::Started) {
            self.told_started = exec.at;
        }
    }

    fn ended(&mut self, exit: &Exit) {
        self.callers.ended(exit);
        if let Some((_, server)) = self.survey.members.get(&exit.tgid) {
            self.servers.lost_member(*server, exit.tgid, exit.at);
        }
    }

    fn closed(&mut self, conn: ConnId) {
        self.ends.pop(&conn);
        self.standing.remove(&conn.0);
    }

    fn wait(&mut self, patience: Duration) -> bool {
        let Some(resolver) = &self.resolver else { return false };
        if let Some(answer) = resolver.wait(patience) {
            self.take(answer);
        }
        true
    }

    fn renames(&mut self) -> Vec<Rename> {
        self.registry.take_renames()
    }

    fn tick(&mut self, now: u64) {
        self.ticks += 1;
        self.reads_left = READS_PER_SECOND;
        self.clock.refresh();
        self.users.refresh();
        self.hosts.refresh();
        self.callers.tick(now);
        self.take_answers();
    }

    fn degradations(&self) -> Vec<Degradation> {
        let mut all = self.gaps.degradations(self.blind, self.pids_are_ours, self.resolver.is_some());
        all.extend(super::address::overflow(&self.registry));
        all.extend(self.callers.degradation());
        all
    }
}

#[cfg(test)]
mod real_tests;
#[cfg(test)]
mod tests;
