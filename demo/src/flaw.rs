//! The flaws that show in honest traffic too. The shop has them all; in a recording only those are open that
//! its scenario is about, so that everything else in it is clean.

use std::sync::atomic::{AtomicU8, Ordering};

/// A flaw that nobody needs to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Flaw {
    /// Tokens are signed with a word from the top of every word list.
    WeakSecret = 1,
    /// Profiles show the hash of the password and the date of birth.
    FatProfile = 2,
}

static OPEN: AtomicU8 = AtomicU8::new(u8::MAX);

/// Closes every flaw but `open`.
pub(crate) fn close_all_but(open: &[Flaw]) {
    OPEN.store(open.iter().fold(0, |bits, flaw| bits | *flaw as u8), Ordering::Relaxed);
}

impl Flaw {
    /// Whether it is there.
    pub(crate) fn is_open(self) -> bool {
        OPEN.load(Ordering::Relaxed) & self as u8 != 0
    }
}
