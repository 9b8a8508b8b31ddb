//! From entries of the journal to how each policy stands.

use super::Ledger;
use crate::journal::{Disk, Ending, Event, Who};
use apisec_engine::policy::Policy;

/// How far a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is being put into force.
    Preparing,
    /// It is in force.
    Active,
    /// It is being taken back.
    Undoing(Ending),
    /// The kernel has nothing of it although it should.
    Missing,
    /// It could not be taken back.
    Stuck,
    /// It is over.
    Ended(Ending),
}

impl Stage {
    /// Whether there may be something of it in the kernel, or should be.
    pub(super) const fn is_open(self) -> bool {
        !matches!(self, Self::Ended(_))
    }
}

/// What the journal says about a policy.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// The policy; `None` when only the kernel knows it.
    pub(super) policy: Option<Policy>,
    pub(super) stage: Stage,
    pub(super) applied: u64,
    pub(super) deadline: Option<u64>,
    pub(super) by: Who,
    pub(super) boot: String,
    /// Rules in the kernel.
    pub(super) rules: usize,
    /// What these are, in words.
    pub(super) plan: Vec<String>,
    /// Something of it is enforced after the fact.
    pub(super) reactive: bool,
    /// It ends with the process that applied it.
    pub(super) tied: bool,
    pub(super) took_us: u64,
    pub(super) trouble: Vec<String>,
    /// What it did in all, once it is over.
    pub(super) effect: (u64, u64, u64),
    pub(super) ended: u64,
}

impl Standing {
    /// It ends with another process than this one, whose own kernel objects it is in.
    pub(super) fn tied_elsewhere(&self) -> bool {
        self.tied && self.by.pid != std::process::id()
    }

    pub(super) fn name(&self) -> &str {
        self.policy.as_ref().map_or("", |policy| policy.metadata.name.as_str())
    }

    fn new(at: u64, by: &Who, boot: &str) -> Self {
        Self {
            policy: None,
            stage: Stage::Preparing,
            applied: at,
            deadline: None,
            by: by.clone(),
            boot: boot.to_owned(),
            rules: 0,
            plan: Vec::new(),
            reactive: false,
            tied: false,
            took_us: 0,
            trouble: Vec::new(),
            effect: (0, 0, 0),
            ended: 0,
        }
    }
}

impl<D: Disk> Ledger<D> {
    /// Takes the entries that are new.
    pub(super) fn fold(&mut self) {
        let new: Vec<_> = self.journal.entries().iter().skip(self.folded).cloned().collect();
        self.folded += new.len();
        for entry in new {
            self.fold_event(entry.at, &entry.by, &entry.boot, &entry.event);
        }
    }

    pub(super) fn fold_event(&mut self, at: u64, by: &Who, boot: &str, event: &Event) {
        if let Event::Prepared { id, policy, deadline, rules, plan, reactive, tied, .. } = event {
            let standing = Standing {
                policy: Some((**policy).clone()),
                deadline: *deadline,
                rules: *rules,
                plan: plan.clone(),
                reactive: *reactive,
                tied: *tied,
                ..Standing::new(at, by, boot)
            };
            self.standing.insert(*id, standing);
            return;
        }
        if let Event::Cleared { left, .. } = event {
            let open = self.standing.values_mut().filter(|known| known.stage.is_open());
            if left.is_empty() {
                open.for_each(|known| (known.stage, known.ended) = (Stage::Ended(Ending::Panic), at));
            }
            return;
        }
        let Some(known) = self.standing.get_mut(&event.id()) else { return };
        match event {
            Event::Applied { took_us, warnings, .. } => {
                known.stage = Stage::Active;
                known.took_us = *took_us;
                known.trouble.clone_from(warnings);
            }
            Event::Failed { doing, why, .. } => {
                known.trouble.push(format!("{doing}: {why}"));
                if doing == "undo" {
                    known.stage = Stage::Stuck;
                }
            }
            Event::Undoing { ending, .. } => known.stage = Stage::Undoing(*ending),
            Event::Undone { ending, blocked, passed, undecided, .. } => {
                known.stage = Stage::Ended(*ending);
                known.effect = (*blocked, *passed, *undecided);
                known.ended = at;
            }
            Event::Renewed { deadline, .. } => known.deadline = *deadline,
            Event::Followed { rules, plan, .. } => (known.rules, known.plan) = (*rules, plan.clone()),
            Event::Differed { what, .. } => known.trouble.push(what.clone()),
            Event::Renewing { .. } | Event::Prepared { .. } | Event::Cleared { .. } => {}
        }
    }
}
