//! What is known of the credential that a call carried: hashes, times and flags, nothing that could be used again.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Claims that are kept of one credential.
pub const MAX_CLAIMS: usize = 4;

/// See the module. Made once per credential and shared by its calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Keyed hash of the credential itself; that of whom it names is the call's identity.
    pub token: u64,
    /// Name of the field, cookie or query parameter that it stood in, lower case, at most 32 bytes.
    pub source: CompactString,
    /// What is odd about it.
    pub traits: Traits,
    /// When it says that it was issued, Unix seconds; 0 when it does not.
    pub issued: u64,
    /// When it says that it ends, Unix seconds; 0 when it does not.
    pub expires: u64,
    /// Claims that may name what it owns, with a keyed hash of their values, at most [`MAX_CLAIMS`].
    pub claims: SmallVec<[(CompactString, u64); 1]>,
}

impl Credential {
    /// Whether it has any of these traits.
    #[must_use]
    pub const fn is(&self, traits: Traits) -> bool {
        self.traits.0 & traits.0 != 0
    }

    /// Keeps the promises of one that was read from a file.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let clip = |text: &mut CompactString| text.truncate(text.floor_char_boundary(32));
        clip(&mut self.source);
        self.claims.truncate(MAX_CLAIMS);
        self.claims.iter_mut().for_each(|(name, _)| clip(name));
        self
    }
}

/// What is odd about a credential: a set of `Traits::*` bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits(pub u16);

impl Traits {
    /// A JWT that says `alg: none`, or that is not signed.
    pub const UNSIGNED: Self = Self(1);
    /// A JWT that is signed with a shared secret.
    pub const SHARED_SECRET: Self = Self(1 << 1);
    /// That secret is in a list of words.
    pub const WEAK_SECRET: Self = Self(1 << 2);
    /// A JWT that never ends.
    pub const ENDLESS: Self = Self(1 << 3);
    /// A JWT that is good for more than five days.
    pub const LONG_LIVED: Self = Self(1 << 4);
    /// It stands in the request target.
    pub const IN_URL: Self = Self(1 << 5);
    /// A password that is empty, short, or in a list of words.
    pub const WEAK_PASSWORD: Self = Self(1 << 6);
    /// It names a program, not a person.
    pub const OF_SERVICE: Self = Self(1 << 7);
    /// It says that its bearer is an administrator.
    pub const OF_ADMIN: Self = Self(1 << 8);

    /// Adds traits.
    pub const fn add(&mut self, more: Self) {
        self.0 |= more.0;
    }
}
