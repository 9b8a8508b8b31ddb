//! A set of names from the wire that keeps the `N` smallest and knows whether there were more.
//!
//! Keeping the smallest (not the first) makes the union exactly associative and commutative.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// A longer name is cut here: no host, parameter or media type in honest use is longer.
pub const NAME_BYTES: usize = 128;

/// At most `N` names, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct NameSet<const N: usize> {
    names: Vec<CompactString>,
    more: bool,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    names: Vec<CompactString>,
    more: bool,
}

impl<const N: usize> NameSet<N> {
    /// Adds `name` unless it is empty.
    pub fn insert(&mut self, name: &str) {
        let name = cut(name);
        if name.is_empty() {
            return;
        }
        let Err(at) = self.names.binary_search_by(|known| known.as_str().cmp(name)) else { return };
        if at < N {
            self.names.insert(at, CompactString::from(name));
        }
        self.more |= at >= N || self.names.len() > N;
        self.names.truncate(N);
    }

    /// Adds all names of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.names.iter().for_each(|name| self.insert(name));
        self.more |= other.more;
    }

    /// Forgets all names, keeps the memory.
    pub fn clear(&mut self) {
        self.names.clear();
        self.more = false;
    }

    /// The names, ascending.
    #[must_use]
    pub fn names(&self) -> &[CompactString] {
        &self.names
    }

    /// There were more than `N`.
    #[must_use]
    pub const fn more(&self) -> bool {
        self.more
    }
}

fn cut(name: &str) -> &str {
    let end = name.floor_char_boundary(NAME_BYTES);
    name.get(..end).unwrap_or(name)
}

impl<const N: usize> From<NameSet<N>> for Wire {
    fn from(set: NameSet<N>) -> Self {
        Self { names: set.names, more: set.more }
    }
}

impl<const N: usize> From<Wire> for NameSet<N> {
    fn from(wire: Wire) -> Self {
        let mut set = Self { names: Vec::new(), more: wire.more };
        wire.names.iter().for_each(|name| set.insert(name));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(names: &[String]) -> NameSet<3> {
        let mut set = NameSet::default();
        names.iter().for_each(|name| set.insert(name));
        set
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        let mut set = NameSet::<1>::default();
        set.insert(&"é".repeat(100));
        assert_eq!(set.names()[0].len(), NAME_BYTES);
    }

    proptest! {
        #[test]
        fn union_is_exact_beyond_the_cap(
            a in proptest::collection::vec("[a-e]{0,2}", 0..8), b in proptest::collection::vec("[a-e]{0,2}", 0..8)
        ) {
            let whole = of(&[a.clone(), b.clone()].concat());
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(&of(&b));
            ba.merge(&of(&a));
            prop_assert_eq!(&ab, &whole);
            prop_assert_eq!(&ba, &whole);
        }
    }
}
