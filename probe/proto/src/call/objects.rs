//! Which objects a call is about: keyed hashes of the identifiers that it names and that it was given.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Identifiers that are kept of one answer: a page of a list.
pub const MAX_GIVEN: usize = 128;
/// Identifiers that are kept of one request.
pub const MAX_ASKED: usize = 8;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objects {
    /// Which segments of the path (from 0, at most 8) hold the value of which claim of the credential: bit
    /// `8 * claim + segment`.
    pub owned: u32,
    /// Identifiers in path and query.
    pub asked: SmallVec<[u64; 2]>,
    /// Identifiers in the answer that were not asked with, of calls whose bodies were read.
    pub given: Vec<u64>,
    /// Whose account somebody tries to get into, in a request to log in.
    pub account: Option<u64>,
    /// What they try to get into it with.
    pub password: Option<u64>,
}

impl Objects {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { owned, asked, given, account, password } = self;
        *owned == 0 && asked.is_empty() && given.is_empty() && account.is_none() && password.is_none()
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        (self.owned, self.account, self.password) = (0, None, None);
        self.asked.clear();
        self.given.clear();
    }

    /// Keeps the promises of objects that were read from a file.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.asked.truncate(MAX_ASKED);
        self.given.truncate(MAX_GIVEN);
        self
    }

    /// Whether a segment of the path holds the value of a claim, by its number.
    #[must_use]
    pub const fn owns(&self, claim: usize, segment: usize) -> bool {
        claim < 4 && segment < 8 && self.owned & (1 << (8 * claim + segment)) != 0
    }
}
