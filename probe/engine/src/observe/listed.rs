//! Which identifiers were given to whom lately, on this node: what somebody was shown they may well ask for.
//!
//! A table of one size whose places are written over: whoever floods it makes others look as if nothing had been given to
//! them, and can make nobody look as if something had.

use crate::fingerprint;

/// Places: some hundred people with a page of a list each, in 128 KiB.
const PLACES: usize = 1 << 14;

/// See the module.
pub(super) struct Listed(Box<[u64]>);

impl Default for Listed {
    fn default() -> Self {
        Self(vec![0; PLACES].into())
    }
}

impl Listed {
    /// An identity was given an identifier.
    pub(super) fn add(&mut self, actor: u64, id: u64) {
        let both = fingerprint::pair(actor, id);
        if let Some(place) = self.0.get_mut(both as usize % PLACES) {
            *place = both;
        }
    }

    /// Whether it was, and the place was not needed since.
    pub(super) fn has(&self, actor: u64, id: u64) -> bool {
        let both = fingerprint::pair(actor, id);
        self.0.get(both as usize % PLACES) == Some(&both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_forgets_and_never_vouches() {
        let mut listed = Listed::default();
        listed.add(1, 7);
        assert!(listed.has(1, 7) && !listed.has(2, 7) && !listed.has(1, 8));
        (0..200_000).for_each(|id| listed.add(3, 1_000 + id));
        assert!(!listed.has(2, 7) && !listed.has(1, 8));
    }
}
