//! What several detectors ask about the course of calls: which step of a flow this is, and how regular they are.

use crate::case::{Case, Cases};
use crate::trail::{Moment, Scope};
use std::net::IpAddr;

/// A step of a flow that is made for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An account is opened.
    SignUp,
    /// Something is ordered, booked, paid, voted for.
    Step,
}

const SIGN_UP: [&str; 6] = ["signup", "sign-up", "sign_up", "register", "registration", "enroll"];
const STEPS: [&str; 12] = [
    "orders",
    "order",
    "checkout",
    "purchase",
    "buy",
    "bookings",
    "reservations",
    "tickets",
    "votes",
    "transfers",
    "withdrawals",
    "redeem",
];

/// Pauses below which nothing can be said about their regularity.
const FEWEST: usize = 12;

/// What the last word of a path says that it does.
pub(crate) fn kind(path: &str) -> Option<Kind> {
    let last = path.rsplit('/').find(|segment| !segment.is_empty() && !segment.starts_with('{'))?;
    if SIGN_UP.contains(&last) { Some(Kind::SignUp) } else { STEPS.contains(&last).then_some(Kind::Step) }
}

/// How much the pauses between moments differ: their deviation over their mean. `None` when there are too few.
pub(crate) fn spread(moments: &[Moment]) -> Option<f64> {
    let pauses: Vec<f64> = moments
        .iter()
        .zip(moments.iter().skip(1))
        .map(|(one, next)| next.at.saturating_sub(one.at) as f64)
        .collect();
    if pauses.len() < FEWEST {
        return None;
    }
    let mean = pauses.iter().sum::<f64>() / pauses.len() as f64;
    let variance = pauses.iter().map(|pause| (pause - mean).powi(2)).sum::<f64>() / pauses.len() as f64;
    Some(variance.sqrt() / mean.max(1.0))
}

/// Whether the caller only passes on what others ask of it: it answers the same operation itself.
pub(crate) fn is_relay(cases: &Cases<'_>, case: &Case<'_>) -> bool {
    let caller = &*case.key.caller;
    cases.dossiers.keys().any(|key| {
        key.scope == Scope::Endpoint
            && key.endpoint.method == case.key.endpoint.method
            && key.endpoint.path == case.key.endpoint.path
            && key
                .endpoint
                .service
                .strip_prefix(caller)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    })
}

/// An address that anybody on the Internet may have.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = matches!(ip.octets(), [100, 64..=127, ..]);
            !(ip.is_loopback() || ip.is_link_local() || ip.is_private() || ip.is_unspecified() || shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
    }
}
