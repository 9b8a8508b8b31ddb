//! The keys of a document and the types of what stands at them: mergeable, bounded, without a value.
//!
//! A shape is a flat list of places in the order of their paths. Merging keeps the smallest paths, not the first
//! to come, so that it is associative and commutative also at the bound.

use crate::sensitive::Sensitive;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// Places of one shape.
pub const MAX_PLACES: usize = 256;
/// Longest path of a place; deeper ones are cut off, which [`Shape::more`] says.
pub const MAX_PATH: usize = 256;

/// What stands where in one document or in many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    places: Vec<Place>,
    more: bool,
}

/// All values at one path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Empty for the document, `.key` for a member, `[]` for the elements of an array: `.items[].sku`. A key that is
    /// an identifier or sensitive is `{class}`.
    pub path: CompactString,
    /// Types.
    pub kinds: Kinds,
    /// Forms of the texts.
    pub formats: Formats,
    /// Sensitive classes.
    pub classes: Classes,
    /// Values.
    pub count: u32,
    /// Those of them that are objects: a member that stands as often is in all of them.
    pub objects: u32,
    /// Longest text in bytes, or most elements of an array.
    pub longest: u32,
}

impl Shape {
    /// The places, by path.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// There are places that are not kept.
    #[must_use]
    pub const fn more(&self) -> bool {
        self.more
    }

    /// Whether nothing was seen.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The place at a path.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Place> {
        let found = self.places.binary_search_by(|place| place.path.as_str().cmp(path)).ok()?;
        self.places.get(found)
    }

    /// Something could not be kept.
    pub const fn overflow(&mut self) {
        self.more = true;
    }

    /// Counts what stands at `path`; `fill` is given its place. Beyond the bounds nothing happens but [`Shape::more`].
    pub fn add(&mut self, path: &str, fill: impl FnOnce(&mut Place)) {
        if path.len() > MAX_PATH {
            self.more = true;
            return;
        }
        let at = match self.places.binary_search_by(|place| place.path.as_str().cmp(path)) {
            Ok(at) => at,
            Err(at) if at >= MAX_PLACES => {
                self.more = true;
                return;
            }
            Err(at) => {
                self.places.insert(at, Place { path: CompactString::new(path), ..Place::default() });
                at
            }
        };
        if let Some(place) = self.places.get_mut(at) {
            fill(place);
        }
        self.bound();
    }

    /// Adds the places of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.more |= other.more;
        for theirs in &other.places {
            self.add(&theirs.path, |place| place.merge(theirs));
        }
    }

    /// Keeps the promises of a shape that was read from a file.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let kept = |place: &Place| place.path.len() <= MAX_PATH;
        self.more |= !self.places.iter().all(kept);
        self.places.retain(kept);
        self.places.sort_by(|a, b| a.path.cmp(&b.path));
        self.places.dedup_by(|a, b| a.path == b.path);
        self.bound();
        self
    }

    fn bound(&mut self) {
        self.more |= self.places.len() > MAX_PLACES;
        self.places.truncate(MAX_PLACES);
    }
}

impl Place {
    /// What stood there: types, forms of texts, sensitive classes.
    #[must_use]
    pub fn words(&self) -> String {
        let all = self.kinds.words().chain(self.formats.words()).chain(self.classes.names());
        all.collect::<Vec<_>>().join(" ")
    }

    fn merge(&mut self, other: &Self) {
        self.kinds.0 |= other.kinds.0;
        self.formats.0 |= other.formats.0;
        self.classes.0 |= other.classes.0;
        self.count = self.count.saturating_add(other.count);
        self.objects = self.objects.saturating_add(other.objects);
        self.longest = self.longest.max(other.longest);
    }
}

/// A set of the members of a table of words, by place.
macro_rules! set {
    ($(#[$meta:meta])* $name:ident($bits:ty): $($(#[$doc:meta])* $member:ident $word:literal,)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $bits);

        impl $name {
            set!(@members $bits, 0; $($(#[$doc])* $member,)*);

            /// Words, by bit.
            pub const WORDS: &[&str] = &[$($word),*];

            /// Adds the members of `other`.
            pub const fn insert(&mut self, other: Self) {
                self.0 |= other.0;
            }

            /// Whether any member of `other` is in it.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// The words of its members.
            pub fn words(self) -> impl Iterator<Item = &'static str> {
                Self::WORDS.iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, word)| *word)
            }
        }
    };
    (@members $bits:ty, $bit:expr; $(#[$doc:meta])* $member:ident, $($rest:tt)*) => {
        $(#[$doc])*
        pub const $member: Self = Self(1 << ($bit));
        set!(@members $bits, $bit + 1; $($rest)*);
    };
    (@members $bits:ty, $bit:expr;) => {};
}

set! {
    /// Types of values.
    Kinds(u8):
    /// `null`.
    NULL "null",
    /// `true` or `false`.
    BOOLEAN "boolean",
    /// A number without fraction and exponent.
    INTEGER "integer",
    /// Any other number.
    NUMBER "number",
    /// Text.
    STRING "string",
    /// An array.
    ARRAY "array",
    /// An object.
    OBJECT "object",
    /// A file in a form.
    FILE "file",
}

set! {
    /// Forms of text.
    Formats(u16):
    /// Eight, four, four, four, twelve hexadecimal digits.
    UUID "uuid",
    /// Year, month, day.
    DATE "date",
    /// A date with a time of day.
    DATE_TIME "date-time",
    /// An e-mail address.
    EMAIL "email",
    /// `scheme://…`.
    URI "uri",
    /// An IPv4 address.
    IPV4 "ipv4",
    /// An IPv6 address.
    IPV6 "ipv6",
    /// Decimal digits.
    DIGITS "digits",
    /// Hexadecimal digits.
    HEX "hex",
    /// Anything else.
    PLAIN "plain",
    /// No text at all.
    EMPTY "empty",
}

/// A set of sensitive classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Classes(pub u16);

impl Classes {
    /// Adds a class.
    pub const fn insert(&mut self, class: Sensitive) {
        self.0 |= 1 << class as u16;
    }

    /// Whether a class is in it.
    #[must_use]
    pub const fn contains(self, class: Sensitive) -> bool {
        self.0 & (1 << class as u16) != 0
    }

    /// The names of its members.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Sensitive::ALL.into_iter().filter(move |class| self.contains(*class)).map(Sensitive::name)
    }
}

/// Values per sensitive class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally([u32; Sensitive::ALL.len()]);

impl Tally {
    /// Counts a value.
    pub fn add(&mut self, class: Sensitive) {
        self.add_many(class, 1);
    }

    /// Counts so many values.
    pub fn add_many(&mut self, class: Sensitive, values: u32) {
        if let Some(count) = self.0.get_mut(class as usize) {
            *count = count.saturating_add(values);
        }
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count = count.saturating_add(more));
    }

    /// The classes that occur, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Sensitive, u32)> + Clone + '_ {
        Sensitive::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }

    /// Whether none occurs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(paths: &[u16]) -> Shape {
        let mut shape = Shape::default();
        for path in paths {
            shape.add(&format!(".k{path}"), |place| {
                place.count += 1;
                place.kinds.insert(if path % 2 == 0 { Kinds::STRING } else { Kinds::NULL });
            });
        }
        shape
    }

    proptest! {
        #[test]
        fn merging_is_exact_beyond_the_bound(
            a in proptest::collection::vec(0_u16..700, 0..400), b in proptest::collection::vec(0_u16..700, 0..400)
        ) {
            let whole = of(&[a.clone(), b.clone()].concat());
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(&of(&b));
            ba.merge(&of(&a));
            prop_assert_eq!(&ab, &ba);
            prop_assert_eq!(&ab, &whole);
            prop_assert!(ab.places().is_sorted_by(|a, b| a.path < b.path));
            prop_assert_eq!(ab.clone().bounded(), ab);
        }
    }

    #[test]
    fn sets_have_words() {
        let mut kinds = Kinds::NULL;
        kinds.insert(Kinds::OBJECT);
        assert_eq!(kinds.words().collect::<Vec<_>>(), ["null", "object"]);
        assert!(kinds.contains(Kinds::OBJECT) && !kinds.contains(Kinds::STRING));
        assert_eq!(Formats::EMPTY.words().collect::<Vec<_>>(), ["empty"]);
    }
}
