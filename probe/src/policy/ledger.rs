//! The policies of this node: what the journal says about them, and the backend that does it.
//!
//! Nothing is put into force that is not in the journal. Taking something back does not wait for a disk: where the
//! journal cannot be written, it is done all the same and said.

mod fold;
mod reconcile;
mod views;

use crate::enforce::rule::{Deadline, Rule, Step};
use crate::enforce::{Applied, Backend, EnforceError, Undone};
use crate::journal::{Disk, Ending, Event, FileDisk, Journal, JournalError, Who};
use apisec_engine::policy::guard::Refusal;
use apisec_engine::policy::{Policy, Ttl};
use fold::{Stage, Standing};
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;
pub use views::{history_of, words};

/// Policies that are in force at once: what the kernel's tables hold.
const MAX_OPEN: usize = 1_024;

/// Why an order was not carried out.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// Nothing was done, because it could not be journalled.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The backend did not do it.
    #[error(transparent)]
    Backend(#[from] EnforceError),
    /// A policy of this name is in force.
    #[error("a policy called {0} is in force (number {1})")]
    NameTaken(String, u32),
    /// No such policy is in force.
    #[error("no policy {0} is in force")]
    NotOpen(String),
    /// Too many.
    #[error("{MAX_OPEN} policies are in force, more are not taken")]
    Full,
    /// It is in force, and the journal has no word of that: it was taken back.
    #[error("it was taken back at once, because the journal could not be written: {0}")]
    Unrecorded(JournalError),
}

/// What is put into force.
#[derive(Clone, Debug)]
pub struct Order {
    /// The policy.
    pub policy: Policy,
    /// What the kernel refuses for it; may be nothing where it is enforced after the fact.
    pub rules: Vec<Rule>,
    /// Connections are closed after the fact, by whoever looks at traffic.
    pub reactive: bool,
    /// What will be done, in words.
    pub plan: Vec<String>,
    /// What was forced by typing its name.
    pub forced: Vec<Refusal>,
    /// It ends with this process.
    pub tied: bool,
}

/// See the module.
pub struct Ledger<D: Disk = FileDisk> {
    journal: Journal<D>,
    backend: Box<dyn Backend>,
    standing: BTreeMap<u32, Standing>,
    /// Entries of the journal that are in `standing`.
    folded: usize,
    by: Who,
    /// What could not be journalled, in words.
    pub(super) trouble: Vec<String>,
}

impl<D: Disk> Ledger<D> {
    /// Opens it over a journal and a backend, and brings both together. What differed is returned, in words.
    ///
    /// # Errors
    /// The kernel's state cannot be read.
    pub fn open(
        journal: Journal<D>,
        backend: Box<dyn Backend>,
        by: Who,
        now: u64,
    ) -> Result<(Self, Vec<String>), LedgerError> {
        let standing = BTreeMap::new();
        let mut ledger = Self { journal, backend, standing, folded: 0, by, trouble: Vec::new() };
        ledger.fold();
        let differences = ledger.reconcile(now)?;
        Ok((ledger, differences))
    }

    /// From now on orders come by this way.
    pub fn speak_as(&mut self, through: &str) {
        through.clone_into(&mut self.by.through);
    }

    /// The journal.
    pub const fn journal(&self) -> &Journal<D> {
        &self.journal
    }

    /// The backend.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Puts a policy into force: all of it, or nothing. Returns its number.
    ///
    /// # Errors
    /// It is not in force, and why.
    pub fn apply(&mut self, order: Order, now: u64, took: impl Fn() -> u64) -> Result<u32, LedgerError> {
        self.put(None, order, now, took)
    }

    /// Puts a policy in the place of one that is in force, under its number. Where that fails, neither is in force.
    ///
    /// # Errors
    /// It is not in force, and why.
    pub fn replace(
        &mut self,
        id: u32,
        order: Order,
        now: u64,
        took: impl Fn() -> u64,
    ) -> Result<u32, LedgerError> {
        self.put(Some(id), order, now, took)
    }

    fn put(
        &mut self,
        replaced: Option<u32>,
        order: Order,
        now: u64,
        took: impl Fn() -> u64,
    ) -> Result<u32, LedgerError> {
        let _alone = self.journal.alone()?;
        self.fold();
        let open = self.standing.iter().filter(|(_, known)| known.stage.is_open());
        let name = order.policy.metadata.name.as_str();
        if let Some((id, _)) = open.clone().find(|(id, known)| known.name() == name && Some(**id) != replaced)
        {
            return Err(LedgerError::NameTaken(name.to_owned(), *id));
        }
        if open.count() >= MAX_OPEN {
            return Err(LedgerError::Full);
        }
        let known = replaced.map(|id| self.standing.get(&id).filter(|known| known.stage == Stage::Active));
        let id = match (replaced, known) {
            (Some(id), Some(Some(known))) if !known.tied_elsewhere() => id,
            (Some(id), _) => return Err(LedgerError::NotOpen(id.to_string())),
            (None, _) => self.next_id()?,
        };
        let deadline = order.policy.spec.ttl.deadline(now);
        let step = Step { policy: id, deadline: at(deadline), rules: order.rules };
        self.append(
            now,
            Event::Prepared {
                id,
                policy: Box::new(order.policy),
                deadline,
                plan: order.plan,
                forced: order.forced,
                rules: step.rules.len(),
                reactive: order.reactive,
                tied: order.tied,
            },
        )?;
        let applied = match (step.rules.is_empty(), replaced) {
            (false, _) => self.backend.apply(&step),
            (true, Some(_)) => self.backend.undo(id).map(|_| Applied::default()),
            (true, None) => Ok(Applied::default()),
        };
        match applied {
            Ok(applied) => {
                let (entries, warnings) = (applied.entries, applied.warnings);
                let told = self.append(now, Event::Applied { id, entries, took_us: took(), warnings });
                if let Err(why) = told {
                    self.lift(id, Ending::Aborted, now);
                    return Err(LedgerError::Unrecorded(why));
                }
                Ok(id)
            }
            Err(why) => {
                self.note(now, Event::Failed { id, doing: "apply".into(), why: why.to_string() });
                // Whatever the backend says, nothing of it stays.
                self.lift(id, Ending::Aborted, now);
                Err(why.into())
            }
        }
    }

    /// Gives a policy that is in force other rules, because who is meant by it is another process now. Nothing is journalled
    /// before: the policy is the same, and undoing it takes back whatever rules it has.
    ///
    /// # Errors
    /// It is not in force any more, and why.
    pub fn follow(
        &mut self,
        id: u32,
        rules: Vec<Rule>,
        plan: Vec<String>,
        now: u64,
    ) -> Result<(), LedgerError> {
        let _alone = self.journal.alone()?;
        self.fold();
        let Some(known) = self.standing.get(&id).filter(|known| known.stage == Stage::Active) else {
            return Err(LedgerError::NotOpen(id.to_string()));
        };
        if known.plan == plan || known.tied_elsewhere() {
            return Ok(());
        }
        let step = Step { policy: id, deadline: at(known.deadline), rules };
        match self.backend.apply(&step) {
            Ok(_applied) => {
                self.note(now, Event::Followed { id, rules: step.rules.len(), plan });
                Ok(())
            }
            Err(why) => {
                self.note(now, Event::Failed { id, doing: "follow".into(), why: why.to_string() });
                self.lift(id, Ending::Aborted, now);
                self.trouble
                    .push(format!("policy {id} is NOT in force any more: its new rules were refused: {why}"));
                Err(why.into())
            }
        }
    }

    /// The policies with rules in the kernel, and what these are in words.
    pub fn ruled(&self) -> impl Iterator<Item = (u32, &Policy, &[String])> {
        let ruled = self.standing.iter().filter(|(_, known)| known.stage == Stage::Active && known.rules > 0);
        ruled.filter_map(|(id, known)| Some((*id, known.policy.as_ref()?, known.plan.as_slice())))
    }

    /// Whether some policy in force needs somebody who looks at traffic, also without a terminal.
    #[must_use]
    pub fn needs_sentry(&self) -> bool {
        self.standing.values().any(|known| known.stage == Stage::Active && known.reactive && !known.tied)
    }

    /// Takes a policy back.
    ///
    /// # Errors
    /// It is not in force, or something of it could not be removed.
    pub fn undo(&mut self, id: u32, ending: Ending, now: u64) -> Result<(), LedgerError> {
        let _alone = self.journal.alone();
        self.fold();
        let known = self.standing.get(&id).is_some_and(|known| known.stage.is_open());
        let held = self.backend.inspect().is_ok_and(|held| held.policies.iter().any(|one| one.policy == id));
        if !known && !held {
            return Err(LedgerError::NotOpen(id.to_string()));
        }
        self.note(now, Event::Undoing { id, ending });
        self.finish(id, ending, now)?;
        Ok(())
    }

    /// The number of the policy that is called so, or has this number.
    ///
    /// # Errors
    /// There is none in force.
    pub fn find(&mut self, text: &str) -> Result<u32, LedgerError> {
        let _read = self.journal.catch_up();
        self.fold();
        let number: Option<u32> = text.trim_start_matches('#').parse().ok();
        let open = self.standing.iter().filter(|(_, known)| known.stage.is_open());
        let found = open.clone().find(|(id, known)| known.name() == text || Some(**id) == number);
        if let Some((id, _)) = found {
            return Ok(*id);
        }
        let held = self.backend.inspect().ok().into_iter().flat_map(|held| held.policies);
        held.map(|one| one.policy)
            .find(|id| Some(*id) == number)
            .ok_or_else(|| LedgerError::NotOpen(text.to_owned()))
    }

    /// The policy that was put into force last, among those that still are.
    #[must_use]
    pub fn last_open(&self) -> Option<u32> {
        self.standing.iter().rev().find(|(_, known)| known.stage.is_open()).map(|(id, _)| *id)
    }

    /// Every policy that is in force, by the journal or by the kernel.
    pub fn open_ids(&mut self) -> Vec<u32> {
        let _read = self.journal.catch_up();
        self.fold();
        let open = self.standing.iter().filter(|(_, known)| known.stage.is_open()).map(|(id, _)| *id);
        let mut ids: Vec<u32> = open.collect();
        let held = self.backend.inspect().ok().into_iter().flat_map(|held| held.policies);
        ids.extend(held.map(|one| one.policy));
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Moves the deadline of a policy: so long from now on.
    ///
    /// # Errors
    /// It is not in force, or its deadline is as it was.
    pub fn renew(&mut self, id: u32, ttl: Ttl, now: u64) -> Result<(), LedgerError> {
        let _alone = self.journal.alone()?;
        self.fold();
        let Some(known) = self.standing.get(&id).filter(|known| known.stage == Stage::Active) else {
            return Err(LedgerError::NotOpen(id.to_string()));
        };
        let (before, in_kernel) = (known.deadline, known.rules > 0);
        let deadline = ttl.deadline(now);
        self.append(now, Event::Renewing { id, deadline })?;
        let renewed = if in_kernel { self.backend.renew(id, at(deadline)) } else { Ok(()) };
        if let Err(why) = renewed {
            self.note(now, Event::Failed { id, doing: "renew".into(), why: why.to_string() });
            return Err(why.into());
        }
        if let Err(why) = self.append(now, Event::Renewed { id, deadline }) {
            // The journal and the kernel must say the same.
            let _back = in_kernel.then(|| self.backend.renew(id, at(before)));
            return Err(why.into());
        }
        Ok(())
    }

    /// Takes back what ends with this process.
    pub fn undo_own(&mut self, now: u64) {
        let ours = |known: &Standing| known.stage.is_open() && known.tied && !known.tied_elsewhere();
        let ids: Vec<u32> =
            self.standing.iter().filter(|(_, known)| ours(known)).map(|(id, _)| *id).collect();
        for id in ids {
            // The kernel's part of it goes with this process in any case.
            let _said = self.undo(id, Ending::Undone, now);
        }
    }

    /// Ends what is past its deadline. True when there was something.
    pub fn expire(&mut self, now: u64) -> bool {
        let over: Vec<u32> = self
            .standing
            .iter()
            .filter(|(_, known)| known.stage == Stage::Active)
            .filter(|(_, known)| known.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in &over {
            if let Err(error) = self.undo(*id, Ending::Expired, now) {
                self.trouble.push(format!("policy {id} is over and could not be removed: {error}"));
            }
        }
        !over.is_empty()
    }

    /// Does what nobody waits for: see [`Backend::tend`].
    pub fn tend(&mut self) {
        if let Err(error) = self.backend.tend(Duration::ZERO) {
            self.trouble = vec![error.to_string()];
        }
    }

    /// Whether something of ours outlives this process: somebody must end it.
    #[must_use]
    pub fn outlives_us(&self) -> bool {
        self.needs_sentry() || self.backend.inspect().is_ok_and(|held| !held.pins.is_empty())
    }

    /// Reads what others have journalled. True when there was something.
    pub fn catch_up(&mut self) -> bool {
        let read = self.journal.catch_up().unwrap_or_default();
        self.fold();
        read
    }

    /// Takes a policy back at the backend and journals what came of it.
    fn finish(&mut self, id: u32, ending: Ending, now: u64) -> Result<(), EnforceError> {
        match self.backend.undo(id) {
            Ok(undone) => {
                self.note(now, undone_event(id, ending, &undone));
                Ok(())
            }
            Err(why) => {
                self.note(now, Event::Failed { id, doing: "undo".into(), why: why.to_string() });
                Err(why)
            }
        }
    }

    /// The same, where nobody waits for the outcome.
    fn lift(&mut self, id: u32, ending: Ending, now: u64) {
        if let Err(why) = self.finish(id, ending, now) {
            self.trouble.push(format!("policy {id} could not be removed: {why}"));
        }
    }

    /// Journals what has been done, or will be in any case.
    fn note(&mut self, now: u64, event: Event) {
        let id = event.id();
        let kept = event.clone();
        if let Err(why) = self.append(now, event) {
            self.trouble.push(format!("policy {id}: {why}"));
            // What happened counts, written or not.
            let by = self.by.clone();
            self.fold_event(now, &by, "", &kept);
        }
    }

    fn append(&mut self, now: u64, event: Event) -> Result<(), JournalError> {
        let outcome = self.journal.append(now, &self.by, event).map(|_entry| ());
        self.fold();
        outcome
    }

    fn next_id(&self) -> Result<u32, LedgerError> {
        let held =
            self.backend.inspect()?.policies.into_iter().map(|one| one.policy).max().unwrap_or_default();
        let known = self.standing.keys().next_back().copied().unwrap_or_default();
        Ok(held.max(known).saturating_add(1))
    }
}

fn undone_event(id: u32, ending: Ending, undone: &Undone) -> Event {
    let sum = |count: fn(&crate::enforce::Effect) -> u64| undone.effects.iter().map(count).sum();
    Event::Undone {
        id,
        ending,
        blocked: sum(|effect| effect.blocked),
        passed: sum(|effect| effect.passed),
        undecided: sum(|effect| effect.undecided),
        held: undone.held,
    }
}

/// A deadline for the kernel.
fn at(unix: Option<u64>) -> Deadline {
    unix.map_or(Deadline::NEVER, Deadline::at)
}

#[cfg(test)]
mod tests;
