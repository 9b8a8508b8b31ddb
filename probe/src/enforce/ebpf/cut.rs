//! Connections that are open already and that a rule would have refused: they are closed. A rule about requests closes
//! none, it reads them.

use super::open::{self, Open};
use crate::attach::cgroup;
use crate::enforce::rule::{Caller, Quarantine, Rule, Target};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

/// Closes what these rules would have refused; how many were closed.
pub(super) fn cut(rules: &[Rule]) -> usize {
    if !rules.iter().any(|rule| matches!(rule, Rule::Connect(_) | Rule::Quarantine(_))) {
        return 0;
    }
    let ends = Ends::find(rules);
    let doomed = ends.open.iter().filter(|open| rules.iter().any(|rule| ends.refuses(rule, open)));
    doomed.filter(|open| open.close()).count()
}

/// The ends of connections that rules may be about, and whose they are.
struct Ends {
    open: Vec<Open>,
    /// Processes that hold a socket, by its inode.
    holders: HashMap<u64, Vec<u32>>,
    /// Inodes by the addresses of their sockets: local and remote.
    inodes: HashMap<(SocketAddr, SocketAddr), u64>,
    /// cgroups of the holders.
    cgroups: HashMap<u32, u64>,
}

impl Ends {
    fn find(rules: &[Rule]) -> Self {
        let open = open::established(|_| true);
        let inodes: HashMap<_, _> = open.iter().map(|open| ((open.local, open.remote), open.inode)).collect();
        let wanted: HashSet<u64> = inodes.values().copied().filter(|inode| *inode != 0).collect();
        let mut holders: HashMap<u64, Vec<u32>> = HashMap::new();
        open::descriptors(|pid, _number, inode| {
            if wanted.contains(&inode) {
                holders.entry(inode).or_default().push(pid);
            }
            true
        });
        let asks = rules.iter().any(|rule| match rule {
            Rule::Connect(connect) => names_cgroups(&connect.from),
            Rule::Quarantine(one) => names_cgroups(&one.inside) || names_cgroups(&one.admit),
            Rule::Request(_) | Rule::Rate(_) => false,
        });
        let pids: HashSet<u32> = holders.values().flatten().copied().filter(|_| asks).collect();
        let cgroups = pids.into_iter().filter_map(|pid| Some((pid, cgroup::id_of(pid)?))).collect();
        Self { open, holders, inodes, cgroups }
    }

    fn refuses(&self, rule: &Rule, open: &Open) -> bool {
        match rule {
            Rule::Connect(connect) => {
                let from = connect.from.is_empty() || self.is_held_by(open, &connect.from);
                let to =
                    connect.to.is_empty() || connect.to.iter().any(|target| is_at(target, open.remote, open));
                from && to
            }
            Rule::Quarantine(one) => self.isolates(one, open),
            Rule::Request(_) | Rule::Rate(_) => false,
        }
    }

    /// What the workload has connected to, and what has connected to it.
    fn isolates(&self, rule: &Quarantine, open: &Open) -> bool {
        if rule.listens.iter().any(|target| is_at(target, open.local, open)) {
            let peer = self.inodes.get(&(open.remote, open.local)).copied().unwrap_or_default();
            let address = |caller: &Caller| *caller == Caller::Address(open.remote.ip());
            return !rule.admit.iter().any(address) && !self.holds(peer, &rule.admit);
        }
        self.is_held_by(open, &rule.inside)
            && !rule.reach.iter().any(|target| is_at(target, open.remote, open))
    }

    fn is_held_by(&self, open: &Open, callers: &[Caller]) -> bool {
        self.holds(open.inode, callers)
    }

    fn holds(&self, inode: u64, callers: &[Caller]) -> bool {
        let pids = self.holders.get(&inode).map(Vec::as_slice).unwrap_or_default();
        callers.iter().any(|caller| match caller {
            Caller::Process(pid) => pids.contains(pid),
            Caller::Cgroup(id) => pids.iter().any(|pid| self.cgroups.get(pid) == Some(id)),
            Caller::Address(_) => false,
        })
    }
}

fn names_cgroups(callers: &[Caller]) -> bool {
    callers.iter().any(|caller| matches!(caller, Caller::Cgroup(_)))
}

fn is_at(target: &Target, place: SocketAddr, open: &Open) -> bool {
    target.addr.is_none_or(|addr| addr.is_unspecified() || addr == place.ip())
        && target.port.is_none_or(|port| port == place.port())
        && (target.netns == 0 || target.netns == open.netns)
}
