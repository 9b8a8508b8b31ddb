//! A workload whose id was refined: what was counted under the old one belongs to the new one.
//!
//! A program that calls before it listens is `process:gateway` first and `process:gateway:8080` then. Its
//! node says so once, and only where nobody else had the old id. A rename holds for all calls, whether they
//! are merged before it or after: so the order of merging does not matter.

use crate::endpoint::Id;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Renames that are remembered: a node renames a program once, and has few that call before they listen.
const MAX_RENAMES: usize = 8_192;

/// The workload `from` is the workload `to`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rename {
    /// The id that it had.
    pub from: Id,
    /// The id that it has.
    pub to: Id,
}

/// All renames so far. No target is renamed itself.
#[derive(Debug, Default)]
pub(crate) struct Renames(BTreeMap<Id, Id>);

impl Renames {
    /// Takes in a rename; the ids whose counts must move, and where to. Of two targets for one id the first
    /// to come stays: one node never says two.
    pub(crate) fn add(&mut self, rename: &Rename) -> Option<Rename> {
        let known = self.0.contains_key(&rename.from);
        let to = self.resolve(&rename.to).clone();
        if known || to == rename.from || self.0.len() >= MAX_RENAMES {
            return None;
        }
        self.0.values_mut().filter(|target| **target == rename.from).for_each(|target| *target = to.clone());
        self.0.insert(rename.from.clone(), to.clone());
        Some(Rename { from: rename.from.clone(), to })
    }

    /// The id that `id` has by now.
    pub(crate) fn resolve<'a>(&'a self, id: &'a Id) -> &'a Id {
        self.0.get(id).unwrap_or(id)
    }

    /// The id that `id` has by now, when that is another one.
    pub(crate) fn renamed(&self, id: &str) -> Option<&Id> {
        self.0.get(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rename(from: &str, to: &str) -> Rename {
        Rename { from: from.into(), to: to.into() }
    }

    #[test]
    fn a_way_of_renames_is_one_rename_in_any_order() {
        for order in [[("a", "b"), ("b", "c")], [("b", "c"), ("a", "b")]] {
            let mut renames = Renames::default();
            order.iter().for_each(|(from, to)| drop(renames.add(&rename(from, to))));
            assert_eq!([&*renames.0["a"], &*renames.0["b"]], ["c", "c"]);
        }
    }

    #[test]
    fn a_circle_and_a_second_target_are_refused() {
        let mut renames = Renames::default();
        assert!(renames.add(&rename("a", "a")).is_none());
        assert!(renames.add(&rename("a", "b")).is_some());
        assert!(renames.add(&rename("b", "a")).is_none());
        assert!(renames.add(&rename("a", "c")).is_none());
        assert_eq!(&**renames.resolve(&Id::from("a")), "b");
    }
}
