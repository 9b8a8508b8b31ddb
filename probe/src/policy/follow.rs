//! Keeps rules that name processes or cgroups true: a workload that was started again is still the one that is meant. What the
//! new rules are is asked of the same code that made the old ones; when to ask is told by who has come and gone.

use super::ledger::Ledger;
use super::lower::{self, words};
use crate::clock;
use crate::enforce::rule::{Caller, Rule};
use crate::identity::process;
use crate::identity::roster::roster;
use crate::journal::Disk;
use apisec_engine::policy::Policy;
use apisec_engine::policy::aim::{self, selectors};
use apisec_engine::policy::guard::Ward;
use apisec_engine::snapshot::{Kind, Snapshot};
use compact_str::CompactString;
use std::collections::{BTreeMap, BTreeSet};

/// Who is meant by one policy.
struct Meant {
    pids: BTreeSet<u32>,
    /// Their programs: somebody new who runs one may be meant, too.
    programs: BTreeSet<CompactString>,
}

/// See the module.
#[derive(Default)]
pub struct Follower {
    meant: BTreeMap<u32, Meant>,
    /// Processes at the last look.
    there: BTreeSet<u32>,
}

impl Follower {
    /// Looks who has come and gone, and gives policies new rules where that matters.
    pub fn step<D: Disk>(&mut self, ledger: &mut Ledger<D>, snapshot: &Snapshot, wards: &[Ward]) {
        let ruled: Vec<(u32, Policy)> = ledger.ruled().map(|(id, policy, _)| (id, policy.clone())).collect();
        self.meant.retain(|id, _| ruled.iter().any(|(known, _)| known == id));
        if ruled.is_empty() {
            return self.there.clear();
        }
        let there: BTreeSet<u32> = process::all_pids().into_iter().collect();
        let came: BTreeSet<CompactString> =
            there.difference(&self.there).filter_map(|pid| process::program(*pid)).collect();
        let is_stale = |id: &u32| {
            self.meant.get(id).is_none_or(|meant| {
                !meant.pids.is_subset(&there) || came.iter().any(|program| meant.programs.contains(program))
            })
        };
        let stale: Vec<(u32, Policy)> = ruled.into_iter().filter(|(id, _)| is_stale(id)).collect();
        self.there = there;
        if stale.is_empty() {
            return;
        }
        let node = fresh(snapshot);
        for (id, policy) in stale {
            self.renew(ledger, id, &policy, &node, wards);
        }
    }

    fn renew<D: Disk>(
        &mut self,
        ledger: &mut Ledger<D>,
        id: u32,
        policy: &Policy,
        node: &Snapshot,
        wards: &[Ward],
    ) {
        // Nobody is there now: what is ruled waits for whoever comes.
        let Ok(rules) = lower::rules(policy, node, wards) else {
            if let Some(meant) = self.meant.get_mut(&id) {
                meant.pids.clear();
            }
            return;
        };
        self.meant.insert(id, meant(policy, &rules, node));
        let plan: Vec<String> = rules.iter().map(words).collect();
        let before = ledger.ruled().find(|(known, ..)| *known == id).map(|(_, _, plan)| plan.to_vec());
        let Some(before) =
            before.filter(|before| !plan.is_empty() && !plan.iter().all(|word| before.contains(word)))
        else {
            return;
        };
        // Warnings and what is done after the fact stay as they were.
        let rest = before.into_iter().filter(|word| !lower::is_rule(word));
        let plan = plan.into_iter().chain(rest).collect();
        // Where it fails the ledger has said so.
        let _said = ledger.follow(id, rules, plan, clock::now());
    }
}

/// Whom a policy means, on this node.
fn meant(policy: &Policy, rules: &[Rule], node: &Snapshot) -> Meant {
    let callers = rules.iter().flat_map(|rule| match rule {
        Rule::Connect(rule) => rule.from.as_slice(),
        Rule::Request(rule) => rule.from.as_slice(),
        Rule::Rate(rule) => rule.request.from.as_slice(),
        Rule::Quarantine(rule) => rule.inside.as_slice(),
    });
    let mut pids: BTreeSet<u32> = callers
        .filter_map(|caller| match caller {
            Caller::Process(pid) => Some(*pid),
            Caller::Cgroup(_) | Caller::Address(_) => None,
        })
        .collect();
    let selectors = selectors(&policy.spec.scope);
    let ours = node.workloads.iter().filter(|workload| workload.kind != Kind::External && workload.pid != 0);
    let mut programs = BTreeSet::new();
    for workload in ours.filter(|one| selectors.iter().any(|(_, selector)| aim::means(selector, one))) {
        pids.extend(process::program(workload.pid).map(|_| workload.pid));
        programs.insert(CompactString::from(workload.exe.as_str()));
    }
    Meant { pids, programs }
}

/// What is known of the node, with the workloads of this moment in place of those of before.
fn fresh(snapshot: &Snapshot) -> Snapshot {
    let mut workloads = roster();
    let now: BTreeSet<String> = workloads.iter().map(|workload| workload.id.clone()).collect();
    workloads.extend(snapshot.workloads.iter().filter(|workload| !now.contains(&workload.id)).cloned());
    workloads.sort_by(|a, b| a.id.cmp(&b.id));
    Snapshot {
        workloads,
        endpoints: snapshot.endpoints.clone(),
        capture: snapshot.capture.clone(),
        ..Snapshot::default()
    }
}
