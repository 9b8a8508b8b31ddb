//! The drift state of one operation, from counters that are kept anyway.

use super::contract::Documented;
use crate::endpoint::{EndpointStats, is_refusal};
use crate::limits::{ANY_METHOD, OVERFLOW};
use crate::snapshot::Drift;
use apisec_proto::call::Notes;

/// What the answers to an operation prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Something other than the router answered, or nobody did.
    pub routed: bool,
    /// The operation itself answered: anything but 401, 403 and 5xx.
    pub confirmed: bool,
    /// It answered with success or a redirection.
    pub accepted: bool,
}

impl Evidence {
    /// The evidence of an operation's calls.
    #[must_use]
    pub fn of(stats: &EndpointStats) -> Self {
        let statuses = || stats.statuses.iter().map(|(status, _)| status);
        let answered: u64 = stats.statuses.iter().map(|(_, calls)| calls).sum();
        // Messages that expect no answer prove that somebody listens.
        let withheld = stats.is_always(Notes(Notes::UNIMPLEMENTED.0 | Notes::WITHHELD.0));
        let one_way = stats.load.calls > answered.saturating_add(stats.load.unanswered);
        Self {
            routed: !stats.is_unrouted(),
            confirmed: one_way
                || (statuses().any(|status| !is_refusal(status) && !is_unconfirmed(status)) && !withheld),
            accepted: statuses().any(|status| (200..400).contains(&status)),
        }
    }
}

/// A status that a gateway or an authentication layer may have given for any path.
const fn is_unconfirmed(status: u16) -> bool {
    matches!(status, 401 | 403 | 500..=599)
}

/// When an operation was called, in the stored history and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its last call, Unix nanoseconds; 0 when there was none.
    pub last: u64,
    /// Now.
    pub now: u64,
    /// Idle for longer than this it is no longer in use, nanoseconds.
    pub zombie_after: u64,
}

/// The state of an operation of a service that has a specification.
#[must_use]
pub fn judge(
    method: &str,
    path: &str,
    documented: Option<&Documented>,
    evidence: Evidence,
    seen: Seen,
) -> Drift {
    match documented {
        Some(Documented { operation: Some(_), .. }) => match seen.last {
            0 => Drift::Orphan,
            last if seen.now.saturating_sub(last) > seen.zombie_after => Drift::Zombie,
            _ => Drift::Active,
        },
        Some(Documented { untold: true, .. }) => Drift::Unspecified,
        // A server answers OPTIONS for any path.
        Some(_) if method == "OPTIONS" => Drift::Active,
        _ if method == ANY_METHOD || path == OVERFLOW => Drift::Unspecified,
        _ if !evidence.routed => Drift::Unspecified,
        _ if method == "OPTIONS" || !evidence.confirmed => Drift::Unconfirmed,
        _ => Drift::Shadow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::SECOND;
    use std::sync::Arc;

    fn evidence(statuses: &[u16], unanswered: u64) -> Evidence {
        let mut stats = EndpointStats::default();
        statuses.iter().for_each(|status| stats.statuses.add(*status, 1));
        stats.load.unanswered = unanswered;
        Evidence::of(&stats)
    }

    fn seen() -> Seen {
        Seen { last: 1, now: 2, zombie_after: 10 }
    }

    fn undocumented(method: &str, statuses: &[u16], unanswered: u64) -> Drift {
        judge(method, "/a", None, evidence(statuses, unanswered), seen())
    }

    #[test]
    fn the_design_table() {
        use Drift::{Active, Orphan, Shadow, Unconfirmed, Unspecified, Zombie};
        for (statuses, state) in [
            (&[200][..], Shadow),
            (&[404, 200], Shadow),
            (&[422], Shadow),
            (&[404, 405], Unspecified),
            (&[401], Unconfirmed),
            (&[403, 500, 404], Unconfirmed),
            (&[401, 204], Shadow),
        ] {
            assert_eq!(undocumented("GET", statuses, 0), state, "{statuses:?}");
        }
        assert_eq!(undocumented("GET", &[], 3), Unconfirmed);
        assert_eq!(undocumented("OPTIONS", &[204], 0), Unconfirmed);
        assert_eq!(undocumented(ANY_METHOD, &[200], 0), Unspecified);
        for (note, state) in [(Notes::UNIMPLEMENTED, Unspecified), (Notes::WITHHELD, Unconfirmed)] {
            let mut stats = EndpointStats::default();
            stats.load.calls = 2;
            stats.statuses.add(200, 2);
            stats.notes.add(note.0.trailing_zeros() as u8, 2);
            let own = |stats: &EndpointStats| judge("POST", "/a", None, Evidence::of(stats), seen());
            assert_eq!(own(&stats), state);
            stats.load.calls = 3;
            stats.statuses.add(200, 1);
            assert_eq!(own(&stats), Shadow, "one answer of its own is enough");
        }
        let there = |operation| Documented { operation, ..Documented::of(Arc::from("/a")) };
        let at = |last, now| Seen { last, now: now * SECOND, zombie_after: 60 * SECOND };
        let judge =
            |documented: &Documented, seen| judge("GET", "/a", Some(documented), Evidence::default(), seen);
        assert_eq!(judge(&there(Some(1)), at(0, 100)), Orphan);
        assert_eq!(judge(&there(Some(1)), at(SECOND, 62)), Zombie);
        assert_eq!(judge(&there(Some(1)), at(SECOND, 61)), Active);
        assert_eq!(judge(&there(None), at(SECOND, 61)), Unspecified);
    }
}
