//! What endpoints were in earlier runs: enough to tell a zombie from an orphan.

use crate::drift::{Contract, Documented};
use crate::endpoint::EndpointKey;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// An endpoint's calls before this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// First call, Unix nanoseconds; 0 when there was none.
    pub first: u64,
    /// Last call.
    pub last: u64,
    /// Calls.
    pub calls: u64,
    /// Some were answered with success.
    pub accepted: bool,
}

/// An endpoint of an earlier run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Which.
    pub key: EndpointKey,
    /// What is known of it.
    pub past: Past,
}

impl Past {
    /// Adds the calls of `other`.
    pub fn merge(&mut self, other: Self) {
        self.first = match (self.first, other.first) {
            (0, first) | (first, 0) => first,
            (ours, theirs) => ours.min(theirs),
        };
        self.last = self.last.max(other.last);
        self.calls = self.calls.saturating_add(other.calls);
        self.accepted |= other.accepted;
    }
}

/// The past of one service.
#[derive(Default)]
pub(super) struct Pasts(HashMap<EndpointKey, Past>);

impl Pasts {
    pub(super) fn add(&mut self, key: EndpointKey, past: Past) {
        self.0.entry(key).or_default().merge(past);
    }

    /// The past of some endpoints together.
    pub(super) fn of<'a>(&self, keys: impl Iterator<Item = &'a EndpointKey>) -> Past {
        let mut sum = Past::default();
        keys.filter_map(|key| self.0.get(key)).for_each(|past| sum.merge(*past));
        sum
    }

    /// The past of documented operations, by number.
    pub(super) fn documented(&self, contract: Option<&Contract>) -> HashMap<u32, Past> {
        let mut sums: HashMap<u32, Past> = HashMap::new();
        let Some(contract) = contract else { return sums };
        for (key, past) in &self.0 {
            let found = contract.document(key, past.accepted);
            for number in found.iter().flat_map(Documented::operations) {
                sums.entry(number).or_default().merge(*past);
            }
        }
        sums
    }
}
