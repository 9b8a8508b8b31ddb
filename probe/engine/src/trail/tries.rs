//! What is worth a finding as soon as it is tried once: how often it was, and how often the server accepted it.

use super::{Mark, Outcome, Trail};

/// The two counts of a detector.
pub struct Tries {
    tried: Mark,
    accepted: Mark,
}

impl Tries {
    /// Counts under these names.
    #[must_use]
    pub const fn new(tried: &str, accepted: &str) -> Self {
        Self { tried: Mark::new(tried), accepted: Mark::new(accepted) }
    }

    /// It was tried, and this became of it.
    pub fn note(&self, trail: &mut Trail, outcome: Outcome) {
        trail.count(self.tried, 1);
        trail.count(self.accepted, u64::from(outcome == Outcome::Accepted));
    }

    /// How often it was tried and accepted; `None` when it never was.
    #[must_use]
    pub fn of(&self, trail: &Trail) -> Option<(u64, u64)> {
        let tried = trail.counted(self.tried);
        (tried > 0).then(|| (tried, trail.counted(self.accepted)))
    }
}
