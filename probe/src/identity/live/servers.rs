//! The accepting end: the server that listens at the address, in the right network namespace.

use super::{ASK_AGAIN, Ends, LocalIdentity, Named, Question, Wanted, describe};
use crate::clock;
use crate::flow::Flow;
use crate::identity::survey::{Listener, Map, Place, Survey, accepts};
use apisec_proto::call::Vantage;
use apisec_proto::segment::{ConnId, Side};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Listeners that are gone and whose last calls may still have to be named.
const MAX_RETIRED: usize = 1_024;
/// Addresses at which nobody was found.
const MAX_VACANT: usize = 4_096;
/// Servers elsewhere whose number is at hand.
const MAX_REMOTE: usize = crate::identity::MAX_EXTERNALS;

/// What was learnt of servers beyond the survey; most of it lasts until the next one.
#[derive(Default)]
pub(super) struct Servers {
    numbers: Vec<Option<u32>>,
    lost: Vec<Lost>,
    vacant: Map<(u64, SocketAddr), Vacancy>,
    retired: VecDeque<Retired>,
    remote: Map<SocketAddr, u32>,
}

/// Members of a server that have ended since the survey.
#[derive(Default)]
struct Lost {
    pids: Vec<u32>,
    last: u64,
}

/// Whether somebody has been looked for.
#[derive(Clone, Copy)]
enum Vacancy {
    Asked(u64),
    Found,
}

/// A listener that is gone.
struct Retired {
    netns: u64,
    port: u16,
    listener: Listener,
    number: u32,
    until: u64,
}

impl Servers {
    /// There is a new survey; gives the numbers of the servers of the one before.
    pub(super) fn renew(&mut self, survey: &Survey) -> Vec<Option<u32>> {
        let before = std::mem::replace(&mut self.numbers, vec![None; survey.servers.len()]);
        self.lost.clear();
        self.lost.resize_with(survey.servers.len(), Lost::default);
        self.vacant.clear();
        before
    }

    /// A survey as new as the question shows nobody at this address.
    pub(super) fn nobody_at(&mut self, netns: u64, address: SocketAddr) {
        self.vacant.insert((netns, address), Vacancy::Found);
    }

    /// A process of this server has ended.
    pub(super) fn lost_member(&mut self, server: usize, pid: u32, at: u64) {
        let Some(lost) = self.lost.get_mut(server) else { return };
        lost.last = lost.last.max(at);
        if !lost.pids.contains(&pid) {
            lost.pids.push(pid);
        }
    }

    fn retired(&self, netns: Option<u64>, address: SocketAddr, at: u64) -> Option<u32> {
        let fits = |retired: &&Retired| {
            netns.is_none_or(|netns| netns == retired.netns)
                && retired.port == address.port()
                && accepts(&retired.listener, address.ip())
                && at <= retired.until
        };
        self.retired.iter().rev().find(fits).map(|retired| retired.number)
    }

    fn retire(&mut self, retired: Retired) {
        if self.retired.len() >= MAX_RETIRED {
            self.retired.pop_front();
        }
        self.retired.push_back(retired);
    }
}

impl LocalIdentity {
    /// The accepting end of a connection.
    pub(super) fn server(&mut self, conn: ConnId, flow: &Flow, ends: &Ends) -> Named {
        if let Some(number) = ends.server {
            return Named::settled(number);
        }
        let netns = self.server_netns(conn, flow, ends);
        let survey = &self.survey;
        let place =
            netns.map_or_else(|| survey.anywhere(flow.server), |netns| survey.within(netns, flow.server));
        let probed = flow.vantage == Vantage::Server;
        match place {
            Place::Server(server) => self.listed(server, netns, flow.server, ends.at),
            Place::Ambiguous(server) => self.one_of_several(conn, flow, ends, server),
            Place::Elsewhere if !probed => Named::settled(self.external_server(flow.server)),
            Place::Nobody | Place::Elsewhere => self.nobody(conn, flow, ends, netns),
        }
    }

    /// The namespace in which the server's address means something; `None` where any may be meant.
    fn server_netns(&self, conn: ConnId, flow: &Flow, ends: &Ends) -> Option<u64> {
        let near = flow.vantage == Vantage::Server || flow.server.ip().is_loopback();
        near.then(|| self.probed_netns(conn, ends)).flatten()
    }

    /// The namespace of the probed socket. A cookie that the survey does not know is of a new namespace.
    fn probed_netns(&self, conn: ConnId, ends: &Ends) -> Option<u64> {
        const NEW: u64 = 0;
        let by_cookie = || match ends.netns_cookie {
            0 => None,
            _ if self.survey.cookies.is_empty() => None,
            cookie => Some(self.survey.cookies.get(&cookie).copied().unwrap_or(NEW)),
        };
        let searched = (ends.netns != 0).then_some(ends.netns);
        searched.or_else(by_cookie).or_else(|| self.standing.get(&conn.0).map(|standing| standing.netns))
    }

    /// A server of the survey. When all of its processes have ended since, somebody else may listen there
    /// by now: only calls from before are surely its own.
    fn listed(&mut self, server: usize, netns: Option<u64>, address: SocketAddr, at: u64) -> Named {
        let number = self.server_number(server, Some(address));
        let members = self.survey.servers.get(server).map_or(0, |server| server.members.len());
        let lost = self.servers.lost.get(server).filter(|lost| lost.pids.len() >= members);
        match lost {
            Some(lost) if at == 0 || at > lost.last => {
                self.ask_listener(netns, address);
                Named::asked(number)
            }
            _ => Named::settled(number),
        }
    }

    /// Namespaces differ in who listens there: the probed socket tells which is meant, if it is found.
    fn one_of_several(&mut self, conn: ConnId, flow: &Flow, ends: &Ends, guess: usize) -> Named {
        let number = self.server_number(guess, Some(flow.server));
        let (side, local, remote, lost) = match flow.vantage {
            Vantage::Server => (Side::Server, flow.server, flow.client, ends.server_lost),
            Vantage::Client => {
                (Side::Client, flow.client, flow.server, ends.client_lost || ends.client.is_some())
            }
        };
        if !lost && self.ask_socket(Wanted { conn, side, local, remote, cookie: conn.0 }) {
            return Named::asked(number);
        }
        self.count(conn, |gaps| &mut gaps.ambiguous);
        Named::settled(number)
    }

    /// Nobody listens there as far as we know: a new server, one that has stopped, or no server of ours.
    fn nobody(&mut self, conn: ConnId, flow: &Flow, ends: &Ends, netns: Option<u64>) -> Named {
        if let Some(number) = self.servers.retired(netns, flow.server, ends.at) {
            return Named::settled(number);
        }
        let probed = flow.vantage == Vantage::Server;
        let looked = self.ask_listener(netns, flow.server);
        if !probed && !flow.server.ip().is_loopback() {
            // A service address of this node that leads away from it (IPVS, a local proxy that is gone).
            let number = self.external_server(flow.server);
            return if looked { Named::settled(number) } else { Named::asked(number) };
        }
        if !looked {
            return Named::asked(self.unknown());
        }
        let wanted = Wanted { conn, side: Side::Server, local: flow.server, remote: flow.client, cookie: 0 };
        let wanted = if probed { Wanted { cookie: conn.0, ..wanted } } else { wanted };
        if !ends.server_lost && self.ask_socket(wanted) {
            return Named::asked(self.unknown());
        }
        if let Some(named) = probed.then(|| self.by_cgroup(ends.cgroup, "unknown")).flatten() {
            return named;
        }
        self.count(conn, |gaps| &mut gaps.unknown);
        Named::settled(self.unknown())
    }

    /// Has somebody looked for a listener; true when nobody was found.
    fn ask_listener(&mut self, netns: Option<u64>, address: SocketAddr) -> bool {
        let netns = netns.unwrap_or_default();
        let due = match self.servers.vacant.get(&(netns, address)) {
            Some(Vacancy::Found) => return true,
            Some(Vacancy::Asked(at)) => self.ticks.saturating_sub(*at) >= ASK_AGAIN,
            None => true,
        };
        if due && self.ask(Question::Listener { netns, address }) {
            if self.servers.vacant.len() >= MAX_VACANT {
                self.servers.vacant.clear();
            }
            self.servers.vacant.insert((netns, address), Vacancy::Asked(self.ticks));
        }
        self.resolver.is_none()
    }

    /// The number of a server of the survey.
    pub(super) fn server_number(&mut self, server: usize, address: Option<SocketAddr>) -> u32 {
        if let Some(Some(number)) = self.servers.numbers.get(server) {
            return *number;
        }
        let Some(known) = self.survey.servers.get(server) else { return self.unknown() };
        let (master, port) = (known.master.clone(), known.port);
        let mut workload = describe::process(
            &master,
            Some(port),
            self.is_foreign(master.netns),
            self.users.name(master.uid),
        );
        workload.address =
            address.map(|address| compact_str::format_compact!("{address}")).unwrap_or_default();
        let number = self.registry.enter_held(workload, (master.pid, master.start));
        if let Some(slot) = self.servers.numbers.get_mut(server) {
            *slot = Some(number);
        }
        number
    }

    fn external_server(&mut self, address: SocketAddr) -> u32 {
        if let Some(number) = self.servers.remote.get(&address) {
            return *number;
        }
        let number = self.registry.enter(describe::external_server(address, self.hosts.name(address.ip())));
        if self.servers.remote.len() < MAX_REMOTE {
            self.servers.remote.insert(address, number);
        }
        number
    }

    /// A server that listens at a lower port by now is called after that.
    pub(super) fn rename_servers(&mut self, before: &Survey, numbers: &[Option<u32>]) {
        for (known, number) in before.servers.iter().zip(numbers) {
            let (master, Some(number)) = (&known.master, number) else { continue };
            let now = self.survey.members.get(&master.pid).filter(|(start, _)| *start == master.start);
            if let Some((_, server)) = now.copied() {
                self.refine(*number, server, (master.pid, master.start));
            }
        }
    }

    /// Keeps the names behind listening sockets that the next survey no longer has.
    pub(super) fn retire_servers(&mut self, next: &Survey) {
        let survey = self.survey.clone();
        let listeners =
            survey.listeners.iter().flat_map(|(place, all)| all.iter().map(move |one| (*place, one)));
        for ((netns, port), listener) in listeners {
            let Some(server) =
                listener.server.filter(|_| !still_there(&survey, next, (netns, port), listener))
            else {
                continue;
            };
            let ended = self.servers.lost.get(server).map_or(0, |lost| lost.last);
            let until = if ended == 0 { clock::now() } else { ended };
            let number = self.server_number(server, None);
            self.servers.retire(Retired { netns, port, listener: listener.clone(), number, until });
        }
    }
}

/// Whether the same process listens at the same address in both surveys.
fn still_there(before: &Survey, after: &Survey, place: (u64, u16), listener: &Listener) -> bool {
    let master = |survey: &Survey, listener: &Listener| {
        let server = listener.server.and_then(|server| survey.servers.get(server))?;
        Some((server.master.pid, server.master.start))
    };
    let now = after.listeners.get(&place).into_iter().flatten();
    now.filter(|other| other.address == listener.address)
        .any(|other| master(after, other) == master(before, listener))
}
