//! The node's workloads by small numbers, with their best description.

use super::*;
use crate::command::TemplateRule;
use crate::endpoint::is_external;
use crate::inventory::rules::Rules;
use apisec_proto::call::{Party, Workload, WorkloadKind};

/// Index of a workload in the observer's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u32);

impl Slot {
    /// The workload that stands for all that do not fit.
    pub(super) const OVERFLOW: Self = Self(0);
}

struct Known {
    described: Described,
    /// Took part in a call of this delta.
    active: bool,
    /// Was seen calling, was seen being called.
    calls: bool,
    called: bool,
    /// The operator's rules about it, when some of them forbid to type segments.
    splits: Option<Box<Rules>>,
    /// Refused names of this delta that were worth an entry.
    refusals: usize,
}

pub(super) struct Parties {
    limits: Limits,
    numbers: HashMap<u32, Slot, Numbers>,
    known: Vec<Known>,
    externals: usize,
    overflow: Id,
    rules: Vec<TemplateRule>,
}

impl Parties {
    pub(super) fn new(limits: Limits, rules: Vec<TemplateRule>) -> Self {
        let id = Id::from(OVERFLOW);
        let known = vec![Known::new(Described { id: id.clone(), at: 0, workload: Arc::new(overflow()) })];
        Self { limits, numbers: HashMap::default(), known, externals: 0, overflow: id, rules }
    }

    /// The slot of a party of a call at `at`.
    pub(super) fn slot(&mut self, party: &Party, at: u64) -> Slot {
        let slot = self.numbers.get(&party.number).copied().unwrap_or_else(|| self.add(party, at));
        if let Some(known) = self.known.get_mut(slot.0 as usize) {
            known.active = true;
            if slot != Slot::OVERFLOW {
                known.describe(&party.workload, at);
            }
        }
        slot
    }

    pub(super) fn id(&self, slot: Slot) -> &Id {
        self.known.get(slot.0 as usize).map_or(&self.overflow, |known| &known.described.id)
    }

    /// Follows these rules of the operator from now on.
    pub(super) fn follow(&mut self, rules: &[TemplateRule]) {
        rules.clone_into(&mut self.rules);
        for known in &mut self.known {
            known.splits = splits(rules, &known.described.id);
        }
    }

    /// Forgets all workloads, but not the operator's rules.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.limits, std::mem::take(&mut self.rules));
    }

    /// The rules about a service of which some forbid to type segments.
    pub(super) fn splits(&self, service: Slot) -> Option<&Rules> {
        self.known.get(service.0 as usize)?.splits.as_deref()
    }

    /// Remembers that `src` calls `dst`; true when a proxy may be involved: one of them has both roles.
    pub(super) fn link(&mut self, src: Slot, dst: Slot) -> bool {
        let mut both = false;
        if let Some(known) = self.known.get_mut(src.0 as usize) {
            known.calls = true;
            both |= known.called;
        }
        if let Some(known) = self.known.get_mut(dst.0 as usize) {
            known.called = true;
            both |= known.calls;
        }
        both
    }

    /// Whether one more refused name of this service may get an entry of its own in this delta.
    pub(super) fn may_name_refusal(&mut self, service: Slot) -> bool {
        let limit = self.limits.unrouted_per_delta;
        self.known.get_mut(service.0 as usize).is_some_and(|known| {
            known.refusals += 1;
            known.refusals <= limit
        })
    }

    /// The workloads that took part in calls since the last time.
    pub(super) fn described(&mut self) -> Vec<Described> {
        let mut active = Vec::new();
        for known in &mut self.known {
            known.refusals = 0;
            if std::mem::take(&mut known.active) {
                active.push(known.described.clone());
            }
        }
        active
    }

    pub(super) fn is_full(&self) -> bool {
        self.known.len() > self.limits.workloads || self.externals > self.limits.externals
    }

    fn add(&mut self, party: &Party, at: u64) -> Slot {
        let external = is_external(&party.workload.id);
        let full =
            self.known.len() > self.limits.workloads || (external && self.externals > self.limits.externals);
        if full {
            return Slot::OVERFLOW;
        }
        let slot = Slot(self.known.len() as u32);
        let id = Id::from(party.workload.id.as_str());
        let splits = splits(&self.rules, &id);
        let described = Described { id, at, workload: party.workload.clone() };
        self.known.push(Known { splits, ..Known::new(described) });
        self.numbers.insert(party.number, slot);
        self.externals += usize::from(external);
        slot
    }
}

impl Known {
    const fn new(described: Described) -> Self {
        Self { described, active: false, calls: false, called: false, splits: None, refusals: 0 }
    }

    fn describe(&mut self, workload: &Arc<Workload>, at: u64) {
        if Arc::ptr_eq(&self.described.workload, workload) {
            self.described.at = self.described.at.max(at);
        } else if self.described.workload.id == workload.id {
            let other = Described { id: self.described.id.clone(), at, workload: workload.clone() };
            self.described.merge(&other);
        }
    }
}

fn splits(rules: &[TemplateRule], service: &str) -> Option<Box<Rules>> {
    let rules = Rules::of(rules, service);
    rules.has_splits().then(|| Box::new(rules))
}

/// The description of the workload that stands for all that do not fit.
pub(crate) fn overflow() -> Workload {
    Workload::named(OVERFLOW, OVERFLOW, WorkloadKind::External)
}
