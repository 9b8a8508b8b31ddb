//! The workloads of this run: one dense number per id, never reused, with the newest description.

use super::describe;
use apisec_engine::rename::Rename;
use apisec_proto::call::{Party, Workload, WorkloadKind};
use compact_str::CompactString;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// Workloads of a run. A node with a thousand containers and two thousand peers stays far below it.
pub const MAX_WORKLOADS: usize = 16_384;
/// Peers that are not on this node: a scan from many addresses must not crowd out our own workloads.
pub const MAX_EXTERNALS: usize = 8_192;
/// Processes that are remembered as having had an id; an id that more have had is nobody's own.
const MAX_HOLDERS: usize = 16;
/// Kept free so that whatever does not fit has a name.
const RESERVED: usize = 2;

/// A process: its pid and its start, 0 when that is unknown.
pub(super) type Holder = (u32, u64);

/// See the module.
///
/// A program that calls before it listens has the id `process:gateway` before it has the id
/// `process:gateway:8080`. Where nobody else had the first one, the workload is renamed, and the first one is
/// taken: other programs of that name are `process:gateway:client` from then on.
#[derive(Default)]
pub(super) struct Registry {
    workloads: Vec<Arc<Workload>>,
    /// Who had the id of a workload; `None` when they were too many.
    holders: HashMap<u32, Option<SmallVec<[Holder; 1]>>, foldhash::fast::RandomState>,
    /// What a renamed workload is now.
    moved: HashMap<u32, u32, foldhash::fast::RandomState>,
    renames: Vec<Rename>,
    numbers: HashMap<CompactString, u32, foldhash::fast::RandomState>,
    externals: usize,
    overflowed: u64,
}

impl Registry {
    /// The number of the workload with this id, for a look-up that allocates nothing.
    pub(super) fn number(&self, id: &str) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    /// Takes a workload in, or refines what is known of it.
    pub(super) fn enter(&mut self, workload: Workload) -> u32 {
        if let Some(number) = self.number(&workload.id) {
            self.refine(number, workload);
            return number;
        }
        let external = workload.kind == WorkloadKind::External;
        let full = self.workloads.len() >= MAX_WORKLOADS.saturating_sub(RESERVED);
        if full || external && self.externals >= MAX_EXTERNALS {
            self.overflowed = self.overflowed.saturating_add(1);
            return self.enter_overflow(external);
        }
        self.externals += usize::from(external);
        self.push(workload)
    }

    /// Takes in the workload of a process, which may yet turn out to be another.
    pub(super) fn enter_held(&mut self, mut workload: Workload, holder: Holder) -> u32 {
        let taken = self.number(&workload.id).and_then(|number| self.moved.get(&number));
        if let Some(now) = taken.and_then(|number| self.workloads.get(*number as usize)) {
            if now.command == workload.command && now.exe == workload.exe {
                return taken.copied().unwrap_or_default();
            }
            workload.id = describe::only_calling(&workload.id);
        }
        let number = self.enter(workload);
        let holders = self.holders.entry(number).or_insert_with(|| Some(SmallVec::new()));
        if let Some(known) = holders.as_mut().filter(|known| !known.contains(&holder)) {
            known.push(holder);
        }
        if holders.as_ref().is_some_and(|known| known.len() > MAX_HOLDERS) {
            *holders = None;
        }
        number
    }

    /// The workload `old` is the workload `new`, if only processes that are `members` of it had its id.
    pub(super) fn rename(&mut self, old: u32, new: u32, members: impl Fn(Holder) -> bool) {
        let (Some(before), Some(after)) =
            (self.workloads.get(old as usize), self.workloads.get(new as usize))
        else {
            return;
        };
        let holders = self.holders.get(&old).and_then(Option::as_ref);
        let its_own = holders.is_some_and(|all| all.iter().all(|holder| members(*holder)));
        if old == new || before.name != after.name || !its_own || self.moved.contains_key(&old) {
            return;
        }
        self.renames.push(Rename { from: before.id.as_str().into(), to: after.id.as_str().into() });
        self.moved.values_mut().filter(|target| **target == old).for_each(|target| *target = new);
        self.moved.insert(old, new);
    }

    /// What was renamed since the last time.
    pub(super) fn take_renames(&mut self) -> Vec<Rename> {
        std::mem::take(&mut self.renames)
    }

    /// The workload with this number, or what it is by now.
    pub(super) fn party(&self, number: u32) -> Party {
        let number = self.moved.get(&number).copied().unwrap_or(number);
        let workload = self.workloads.get(number as usize).cloned();
        let workload = workload.unwrap_or_else(|| Arc::new(describe::unknown()));
        Party { number, workload }
    }

    /// How often a name did not fit.
    pub(super) fn overflowed(&self) -> u64 {
        self.overflowed
    }

    fn enter_overflow(&mut self, external: bool) -> u32 {
        let workload = if external { describe::external_overflow() } else { describe::process_overflow() };
        self.number(&workload.id).unwrap_or_else(|| self.push(workload))
    }

    fn push(&mut self, workload: Workload) -> u32 {
        let number = self.workloads.len() as u32;
        self.numbers.insert(workload.id.clone(), number);
        self.workloads.push(Arc::new(workload));
        number
    }

    /// A description with a process replaces one without, and an older process.
    fn refine(&mut self, number: u32, mut newer: Workload) {
        let Some(known) = self.workloads.get_mut(number as usize) else { return };
        let says_more = newer.pid != 0 || known.pid == 0 && newer != **known;
        if !says_more || newer == **known {
            return;
        }
        if newer.address.is_empty() {
            newer.address = known.address.clone();
        }
        if newer != **known {
            *known = Arc::new(newer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn external(n: u32) -> Workload {
        describe::external_client(IpAddr::V4(Ipv4Addr::from(n)), None)
    }

    #[test]
    fn numbers_are_dense_and_stable() {
        let mut registry = Registry::default();
        let first = registry.enter(external(1));
        let second = registry.enter(external(2));
        assert_eq!((first, second, registry.enter(external(1))), (0, 1, 0));
        assert_eq!(registry.party(1).workload.id, "external:0.0.0.2");
    }

    #[test]
    fn a_process_refines_and_nothing_forgets_it() {
        let mut registry = Registry::default();
        let bare = Workload { id: "process:a".into(), address: "10.0.0.1:80".into(), ..describe::unknown() };
        let known = Workload { pid: 7, exe: "/a".into(), address: "".into(), ..bare.clone() };
        let number = registry.enter(bare.clone());
        registry.enter(known);
        registry.enter(bare);
        let workload = registry.party(number).workload;
        assert_eq!(
            (workload.pid, workload.exe.as_str(), workload.address.as_str()),
            (7, "/a", "10.0.0.1:80")
        );
    }

    fn program(id: &str, command: &str) -> Workload {
        Workload {
            id: id.into(),
            name: "gateway".into(),
            command: command.into(),
            pid: 7,
            ..describe::unknown()
        }
    }

    #[test]
    fn an_id_that_only_one_process_had_follows_it() {
        let mut registry = Registry::default();
        let old = registry.enter_held(program("process:gateway", "gateway --serve"), (7, 1));
        let new = registry.enter_held(program("process:gateway:80", "gateway --serve"), (7, 1));
        registry.rename(old, new, |holder| holder == (7, 1));
        assert_eq!(registry.party(old).workload.id, "process:gateway:80");
        let renames = registry.take_renames();
        assert_eq!(
            (renames.len(), &*renames[0].from, &*renames[0].to),
            (1, "process:gateway", "process:gateway:80")
        );
        assert!(registry.take_renames().is_empty());
        // The same program started again, and another one of that name.
        assert_eq!(registry.enter_held(program("process:gateway", "gateway --serve"), (8, 2)), new);
        let other = registry.enter_held(program("process:gateway", "gateway --check"), (9, 3));
        assert_eq!(registry.party(other).workload.id, "process:gateway:client");
    }

    #[test]
    fn an_id_that_others_had_too_stays() {
        let mut registry = Registry::default();
        let old = registry.enter_held(program("process:gateway", ""), (7, 1));
        registry.enter_held(program("process:gateway", ""), (8, 1));
        let new = registry.enter_held(program("process:gateway:80", ""), (7, 1));
        registry.rename(old, new, |holder| holder == (7, 1));
        assert!(registry.take_renames().is_empty());
        registry.rename(old, new, |_| true);
        assert_eq!(registry.take_renames().len(), 1);
    }

    #[test]
    fn peers_overflow_into_one_workload_and_leave_room_for_processes() {
        let mut registry = Registry::default();
        for n in 0..MAX_EXTERNALS as u32 + 100 {
            registry.enter(external(n));
        }
        assert_eq!(registry.overflowed(), 100);
        let overflow = registry.enter(external(u32::MAX));
        assert_eq!(registry.party(overflow).workload.id, "external:overflow");
        let own = registry.enter(Workload { id: "process:a".into(), ..describe::unknown() });
        assert_eq!(registry.party(own).workload.id, "process:a");
    }

    #[test]
    fn numbers_stay_below_the_cap() {
        let mut registry = Registry::default();
        for n in 0..2 * MAX_WORKLOADS {
            let id = CompactString::from(format!("process:{n}"));
            let number = registry.enter(Workload { id, ..describe::unknown() });
            assert!((number as usize) < MAX_WORKLOADS);
        }
    }
}
