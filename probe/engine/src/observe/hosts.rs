//! What the name of a host says. Most calls to a service ask for the host that the one before asked for.

use super::Slot;
use crate::detect::is_for_tests;
use compact_str::CompactString;

/// Services whose last host is remembered; 2 KiB.
const PLACES: usize = 64;

/// The host that was asked for last, by service, and whether it is one for tests.
#[derive(Default)]
pub(super) struct Hosts(Vec<(CompactString, bool)>);

impl Hosts {
    /// Whether a host is one for tests.
    pub(super) fn is_for_tests(&mut self, host: &str, dst: Slot) -> bool {
        if self.0.is_empty() {
            self.0.resize(PLACES, (CompactString::default(), false));
        }
        let Some((known, answer)) = self.0.get_mut(dst.0 as usize % PLACES) else {
            return is_for_tests(host);
        };
        if known.as_str() != host {
            known.clear();
            known.push_str(host);
            *answer = is_for_tests(host);
        }
        *answer
    }
}
