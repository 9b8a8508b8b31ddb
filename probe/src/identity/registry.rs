//! The workloads of this run: one dense number per id, never reused, with the newest description.

use super::describe;
use apisec_proto::call::{Party, Workload, WorkloadKind};
use compact_str::CompactString;
use std::collections::HashMap;
use std::sync::Arc;

/// Workloads of a run. A node with a thousand containers and two thousand peers stays far below it.
pub const MAX_WORKLOADS: usize = 16_384;
/// Peers that are not on this node: a scan from many addresses must not crowd out our own workloads.
pub const MAX_EXTERNALS: usize = 8_192;
/// Kept free so that whatever does not fit has a name.
const RESERVED: usize = 2;

/// See the module.
#[derive(Default)]
pub(super) struct Registry {
    workloads: Vec<Arc<Workload>>,
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

    /// The workload with this number.
    pub(super) fn party(&self, number: u32) -> Party {
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
