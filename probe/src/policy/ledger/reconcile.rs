//! The journal and the kernel, brought together: after a crash, a kill, a restart of the machine, or a foreign hand.
//!
//! What was never wholly in force is taken back, what was being taken back is, what is over is removed. What the
//! kernel lacks is said and stays on the list until the operator takes it off; what only the kernel knows is said
//! and left alone.

use super::fold::Stage;
use super::{Ledger, LedgerError};
use crate::enforce::HeldPolicy;
use crate::journal::{Disk, Ending, Event, boot};
use std::collections::BTreeMap;
use std::path::Path;

/// Moments that count as the same: the two clocks are read one after the other.
const SAME: u64 = 2_000_000_000;

impl<D: Disk> Ledger<D> {
    /// Brings the journal and the kernel together; what differed is returned, in words.
    ///
    /// # Errors
    /// The kernel's state cannot be read.
    pub fn reconcile(&mut self, now: u64) -> Result<Vec<String>, LedgerError> {
        let _alone = self.journal.alone();
        self.fold();
        let held = self.backend.inspect()?;
        let held: BTreeMap<u32, HeldPolicy> =
            held.policies.into_iter().map(|one| (one.policy, one)).collect();
        let mut differences = Vec::new();
        let open: Vec<u32> =
            self.standing.iter().filter(|(_, known)| known.stage.is_open()).map(|(id, _)| *id).collect();
        for id in open.iter().copied() {
            differences.extend(self.reconcile_one(id, held.get(&id).copied(), now));
        }
        for id in held.keys().filter(|id| !self.standing.contains_key(id)) {
            differences.push(format!("policy {id} is in force and not in this journal: undo takes it back"));
        }
        // One that ended may be there again by another hand.
        let ended: Vec<u32> = held
            .keys()
            .filter(|id| !open.contains(id))
            .filter(|id| self.standing.get(id).is_some_and(|known| !known.stage.is_open()))
            .copied()
            .collect();
        for id in ended {
            self.lift(id, Ending::Undone, now);
            differences.push(format!("policy {id} was over and still in force: it was removed"));
        }
        Ok(differences)
    }

    fn reconcile_one(&mut self, id: u32, held: Option<HeldPolicy>, now: u64) -> Option<String> {
        let known = self.standing.get(&id)?;
        let (stage, deadline, rules) = (known.stage, known.deadline, known.rules);
        let restarted = known.boot != boot() && !known.boot.is_empty();
        let ours = known.by.pid == std::process::id();
        let tied_elsewhere = known.tied && !ours;
        let left = known.tied && !ours && !Path::new(&format!("/proc/{}", known.by.pid)).exists();
        match stage {
            Stage::Preparing => {
                self.lift(id, Ending::Aborted, now);
                Some(format!("policy {id} was interrupted while it was put into force: it was taken back"))
            }
            Stage::Undoing(ending) => {
                self.lift(id, ending, now);
                Some(format!("policy {id} was interrupted while it was taken back: that was finished"))
            }
            Stage::Stuck => {
                self.lift(id, Ending::Undone, now);
                Some(format!("policy {id} could not be taken back before: tried again"))
            }
            Stage::Active | Stage::Missing if deadline.is_some_and(|deadline| deadline <= now) => {
                self.lift(id, Ending::Expired, now);
                None
            }
            Stage::Active | Stage::Missing if restarted || left => {
                self.gone(id, now);
                let why = if restarted {
                    "the machine was started again"
                } else {
                    "it was tied to a program that ended"
                };
                Some(format!("policy {id} is not in force any more: {why}"))
            }
            Stage::Active if rules > 0 && held.is_none() && !tied_elsewhere => {
                let what =
                    "it should be in force and the kernel has nothing of it: somebody removed it".to_owned();
                self.note(now, Event::Differed { id, what: what.clone() });
                self.standing.entry(id).and_modify(|known| known.stage = Stage::Missing);
                Some(format!("policy {id}: {what}"))
            }
            Stage::Active => self.deadline_differs(id, deadline, held?),
            Stage::Missing | Stage::Ended(_) => None,
        }
    }

    /// The kernel decides when a policy ends; if the journal says otherwise, that is made true.
    fn deadline_differs(&mut self, id: u32, deadline: Option<u64>, held: HeldPolicy) -> Option<String> {
        let kernel = held.deadline.unix_nanos();
        let same = match (deadline, kernel) {
            (Some(ours), Some(theirs)) => ours.abs_diff(theirs) <= SAME,
            (None, None) => true,
            _ => false,
        };
        if same {
            return None;
        }
        let renewed = self.backend.renew(id, super::at(deadline));
        let outcome = if renewed.is_ok() { "set right" } else { "left as it is" };
        Some(format!("policy {id} had another deadline in the kernel than in the journal: {outcome}"))
    }

    fn gone(&mut self, id: u32, now: u64) {
        // What is left of it, if anything, goes too.
        let undone = self.backend.undo(id).unwrap_or_default();
        self.note(now, super::undone_event(id, Ending::Gone, &undone));
    }
}
