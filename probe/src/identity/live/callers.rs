//! The calling end: the process that called `connect`, even when it has ended, and never one that merely
//! has its pid.

use super::gaps::{Gaps, degradation};
use super::{ASK_AGAIN, Ends, INFANCY, LocalIdentity, Named, Process, Question, Wanted, YOUTH, describe};
use crate::clock;
use crate::flow::Flow;
use crate::identity::boot::SLACK;
use crate::identity::cgroup::Placement;
use crate::identity::describe::GONE_NAMESPACE;
use crate::identity::holders;
use crate::identity::images::Images;
use crate::identity::process::MAX_ANCESTORS;
use crate::identity::{mask, program};
use apisec_abi::{Exec, Exit};
use apisec_engine::degradation::Degradation;
use apisec_proto::call::{Vantage, Workload};
use apisec_proto::segment::{ConnId, Side};
use compact_str::CompactString;
use foldhash::fast::RandomState;
use lru::LruCache;
use std::sync::Arc;

/// Processes whose name is at hand.
const MAX_CALLERS: usize = 16_384;
/// A connection that is asked about so often without any record of the kernel will not get one.
const PATIENCE: u8 = 3;

/// Processes that have called, and programs that were started.
pub(super) struct Callers {
    by_pid: LruCache<u32, Caller, RandomState>,
    images: Images,
}

/// A process that has called.
struct Caller {
    process: Arc<Process>,
    /// Unix nanoseconds; what was called before was called by another process.
    born: u64,
    /// What was called after this was called by another process.
    ended: Option<u64>,
    number: u32,
    generation: u64,
    looked_at: bool,
    asked: Option<u64>,
}

impl Default for Callers {
    fn default() -> Self {
        Self { by_pid: LruCache::unbounded_with_hasher(RandomState::default()), images: Images::default() }
    }
}

impl Callers {
    /// The process runs another program now.
    pub(super) fn replaced(&mut self, exec: &Exec, netns: u64) {
        self.by_pid.pop(&exec.tgid);
        self.images.start(exec, netns);
    }

    /// The process has ended; what it called before is still its own.
    pub(super) fn ended(&mut self, exit: &Exit) {
        self.images.end(exit.tgid);
        if let Some(caller) = self.by_pid.peek_mut(&exit.tgid) {
            caller.ended.get_or_insert(exit.at.saturating_add(SLACK));
        }
    }

    /// The survey has what there is to know of this process.
    pub(super) fn looked_at(&mut self, pid: u32, start: u64) {
        if let Some(caller) = self.by_pid.peek_mut(&pid).filter(|caller| caller.process.start == start) {
            caller.looked_at = true;
        }
    }

    /// Housekeeping. `now` in Unix nanoseconds.
    pub(super) fn tick(&mut self, now: u64) {
        self.images.tick(now);
    }

    /// Programs that were forgotten too early.
    pub(super) fn degradation(&self) -> Option<Degradation> {
        let forgotten = self.images.forgotten();
        (forgotten > 0).then(|| {
            let what =
                format!("{forgotten} started programs were forgotten within a minute: too many are started");
            degradation("identity-images", what, "")
        })
    }
}

impl LocalIdentity {
    /// The calling end of a connection.
    pub(super) fn client(&mut self, conn: ConnId, flow: &Flow, ends: &Ends) -> Named {
        if let Some(number) = ends.client {
            return Named::settled(number);
        }
        if ends.client_pid != 0 && self.pids_are_ours {
            return self.caller(conn, flow, ends);
        }
        if let Some(process) = self.standing_client(conn, flow, ends) {
            return self.meet(&process);
        }
        let here = flow.vantage == Vantage::Client || ends.client_cookie != 0 || ends.client_pid != 0;
        if !here && !self.survey.is_local(flow.client.ip()) {
            let number = self.external_client(flow.client.ip());
            return if self.is_known(conn, ends) { Named::settled(number) } else { Named::young(number) };
        }
        self.search_client(conn, flow, ends)
    }

    /// The kernel has described the connection, or will not.
    fn is_known(&mut self, conn: ConnId, ends: &Ends) -> bool {
        if let Some(ends) = self.ends.peek_mut(&conn).filter(|ends| !ends.known) {
            ends.early = ends.early.saturating_add(1);
        }
        ends.known || ends.early >= PATIENCE || self.standing.contains_key(&conn.0)
    }

    /// Whose the client's socket was when we started.
    fn standing_client(&self, conn: ConnId, flow: &Flow, ends: &Ends) -> Option<Arc<Process>> {
        let end = |cookie: u64| self.standing.get(&cookie);
        let (pid, start) = match flow.vantage {
            Vantage::Client => end(conn.0)?.holder,
            Vantage::Server => {
                end(ends.client_cookie).map(|end| end.holder).or_else(|| Some(end(conn.0)?.peer))?
            }
        };
        if pid == 0 {
            return None;
        }
        let known = self.callers.by_pid.peek(&pid).map(|caller| caller.process.clone());
        let process = known.or_else(|| (self.read)(pid).map(Arc::new))?;
        (process.start == start).then_some(process)
    }

    /// Looks for the holder of the client's socket, the slow way.
    fn search_client(&mut self, conn: ConnId, flow: &Flow, ends: &Ends) -> Named {
        let cookie = if flow.vantage == Vantage::Client { conn.0 } else { ends.client_cookie };
        let wanted = Wanted { conn, side: Side::Client, local: flow.client, remote: flow.server, cookie };
        if !ends.client_lost && self.ask_socket(wanted) {
            return Named::asked(self.unknown());
        }
        self.absent(conn, flow, ends)
    }

    /// The process that the kernel names.
    fn caller(&mut self, conn: ConnId, flow: &Flow, ends: &Ends) -> Named {
        let (pid, at) = (ends.client_pid, ends.at);
        if let Some(named) = self.known_caller(pid, at) {
            return named;
        }
        if self.reads_left == 0 {
            return Named::later(self.started_as(ends).unwrap_or_else(|| self.unknown()));
        }
        self.reads_left -= 1;
        // Within the slack of the clocks only the record of a start tells two programs apart.
        let replaced = self.callers.images.replaced_since(pid, at);
        let there = |process: &Process| !replaced && (at == 0 || self.clock.born(process.start) <= at);
        match (self.read)(pid).filter(|process| there(process) && !process.is_zombie()) {
            Some(process) => self.meet(&Arc::new(process)),
            None => self.absent(conn, flow, ends),
        }
    }

    fn known_caller(&mut self, pid: u32, at: u64) -> Option<Named> {
        let caller = self.callers.by_pid.get(&pid)?;
        if at != 0 && caller.ended.is_some_and(|ended| at > ended) {
            self.callers.by_pid.pop(&pid);
            return None;
        }
        if at != 0 && at < caller.born {
            return None;
        }
        let (number, process) = (caller.number, Arc::clone(&caller.process));
        let number = if caller.generation == self.generation { number } else { self.number_of(&process) };
        Some(self.judge(&process, number))
    }

    /// Takes a process in that has called for the first time.
    fn meet(&mut self, process: &Arc<Process>) -> Named {
        let number = self.number_of(process);
        if self.callers.by_pid.peek(&process.pid).is_none_or(|caller| caller.process.start != process.start) {
            let caller = Caller {
                born: self.clock.born(process.start),
                process: Arc::clone(process),
                ended: None,
                number,
                generation: self.generation,
                looked_at: false,
                asked: None,
            };
            self.callers.by_pid.put(process.pid, caller);
            if self.callers.by_pid.len() > MAX_CALLERS {
                self.callers.by_pid.pop_lru();
            }
        }
        self.judge(process, number)
    }

    /// Whether the survey has had the chance to see that this process is a server.
    fn judge(&mut self, process: &Arc<Process>, number: u32) -> Named {
        let (generation, ticks) = (self.generation, self.ticks);
        let searched = process.start < self.searched_until || self.resolver.is_none();
        let before = self.callers.by_pid.peek(&process.pid).map(|caller| caller.number);
        if let (Some(before), Some(server)) = (before.filter(|n| *n != number), self.server_of(process)) {
            self.refine(before, server, (process.pid, process.start));
        }
        let Some(caller) = self.callers.by_pid.peek_mut(&process.pid) else { return Named::asked(number) };
        (caller.number, caller.generation) = (number, generation);
        caller.looked_at |=
            searched || caller.ended.is_some() || caller.asked.is_none() && only_calls(process.pid);
        if caller.looked_at {
            let over = caller.ended.is_some() || self.resolver.is_none();
            return match clock::now().saturating_sub(caller.born) {
                age if over || age >= YOUTH => Named::settled(number),
                age if age >= INFANCY => Named::later(number),
                _ => Named::young(number),
            };
        }
        let due = caller.asked.is_none_or(|at| ticks.saturating_sub(at) >= ASK_AGAIN);
        if due
            && self.ask(Question::Process { pid: process.pid, start: process.start })
            && let Some(caller) = self.callers.by_pid.peek_mut(&process.pid)
        {
            caller.asked = Some(ticks);
        }
        Named::asked(number)
    }

    fn number_of(&mut self, process: &Process) -> u32 {
        match self.server_of(process) {
            Some(server) => self.server_number(server, None),
            None => self.name_process(process, None),
        }
    }

    /// The server that this process belongs to: it shares its sockets, or was forked from it and still runs
    /// the same program.
    pub(super) fn server_of(&self, process: &Process) -> Option<usize> {
        let member = |pid: u32| self.survey.members.get(&pid);
        if let Some((_, server)) = member(process.pid).filter(|(start, _)| *start == process.start) {
            return Some(*server);
        }
        let alike = |server: &usize| {
            let master = self.survey.servers.get(*server).map(|server| &server.master);
            master.is_some_and(|master| master.exe == process.exe && master.name() == process.name())
        };
        if process.exe.is_empty()
            || !self.survey.servers.iter().any(|server| server.master.exe == process.exe)
        {
            return None;
        }
        let mut parent = process.parent;
        for _ in 0..MAX_ANCESTORS {
            if let Some((_, server)) = member(parent) {
                return Some(*server).filter(alike);
            }
            let ancestor = (self.read)(parent).filter(|ancestor| ancestor.exe == process.exe)?;
            parent = ancestor.parent;
        }
        None
    }

    /// Callers that turn out to be servers.
    pub(super) fn rename_callers(&mut self) {
        let members = &self.survey.members;
        let servers = self.callers.by_pid.iter().filter_map(|(pid, caller)| {
            let (start, server) = members.get(pid)?;
            (*start == caller.process.start).then_some((caller.number, *server, (*pid, *start)))
        });
        let servers: Vec<_> = servers.collect();
        for (before, server, holder) in servers {
            self.refine(before, server, holder);
        }
    }

    /// A process on this node that is gone: by the program that it ran, by its cgroup, by its thread's name.
    fn absent(&mut self, conn: ConnId, flow: &Flow, ends: &Ends) -> Named {
        // Its namespace is not on the survey: a newer one may have it.
        if self.caller_netns(ends) == Some(GONE_NAMESPACE) && !ends.client_lost {
            let cookie = if flow.vantage == Vantage::Client { conn.0 } else { ends.client_cookie };
            let wanted = Wanted { conn, side: Side::Client, local: flow.client, remote: flow.server, cookie };
            if self.ask_socket(wanted) {
                return Named::asked(self.started_as(ends).unwrap_or_else(|| self.unknown()));
            }
        }
        if let Some(number) = self.started_as(ends) {
            let program = self.callers.images.get(ends.client_pid, ends.at).map_or(0, |image| image.cgroup);
            let placed = self.by_cgroup(if program == 0 { ends.client_cgroup } else { program }, "");
            return match placed {
                Some(placed) if placed.is_settled() => placed,
                Some(_) => Named::asked(number),
                None => Named::settled(number),
            };
        }
        let comm = text(&ends.client_comm);
        if let Some(placed) = self.by_cgroup(ends.client_cgroup, &comm) {
            return placed;
        }
        if comm.is_empty() {
            self.count(conn, |gaps| &mut gaps.unknown);
            return Named::settled(self.unknown());
        }
        self.count(conn, |gaps| &mut gaps.thread_names);
        let name = program::name("", &comm, &[]);
        Named::settled(self.name_gone(&name, CompactString::default(), ends.client_uid, ends))
    }

    /// Names the caller after the program that it was started as.
    fn started_as(&mut self, ends: &Ends) -> Option<u32> {
        let image = self.callers.images.get(ends.client_pid, ends.at)?;
        let name = program::name("", &text(&image.comm), &image.args);
        let command = mask::command_line(&image.args, image.args_cut());
        let uid = image.uid;
        Some(self.name_gone(&name, command, uid, ends))
    }

    fn name_gone(&mut self, program: &str, command: CompactString, uid: u32, ends: &Ends) -> u32 {
        let foreign = self.caller_netns(ends);
        let described = Workload {
            pid: ends.client_pid,
            command,
            user: self.users.name(uid),
            netns: foreign.unwrap_or_default(),
            ..describe::unknown()
        };
        let described = describe::placed(&Placement::default(), program, None, foreign, described);
        self.registry.enter_held(described, (ends.client_pid, 0))
    }

    /// The network namespace of a process that is gone, unless it is ours.
    fn caller_netns(&self, ends: &Ends) -> Option<u64> {
        let by_cookie = self.survey.cookies.get(&ends.client_netns_cookie).copied();
        let by_start = || self.callers.images.get(ends.client_pid, ends.at).map(|image| image.netns);
        match by_cookie.or_else(|| by_start().filter(|netns| *netns != 0)) {
            Some(known) => self.is_foreign(known).then_some(known),
            None if ends.client_netns_cookie == 0 || self.survey.cookies.is_empty() => None,
            None => Some(GONE_NAMESPACE),
        }
    }

    /// Counts a gap once per connection.
    pub(super) fn count(&mut self, conn: ConnId, gap: impl Fn(&mut Gaps) -> &mut u64) {
        if let Some(ends) = self.ends.peek_mut(&conn).filter(|ends| !ends.counted) {
            ends.counted = true;
            *gap(&mut self.gaps) += 1;
        }
    }
}

/// A process that is too simple to be a server: it holds hardly any sockets, or is gone.
fn only_calls(pid: u32) -> bool {
    /// `curl` and its like: the connection itself.
    const FEW: usize = 1;
    let mut sockets = 0;
    let _gone = holders::sockets_of(pid, |_| sockets += 1);
    sockets <= FEW
}

/// A NUL padded name.
fn text(comm: &[u8; 16]) -> String {
    let name = comm.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
