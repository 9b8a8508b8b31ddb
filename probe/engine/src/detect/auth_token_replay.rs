//! One token from several addresses at the same time.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Case, Cases};
use crate::finding::Severity;
use crate::fingerprint;
use crate::load::SECOND;
use crate::trail::{Mark, Moment, Outcome, Scope, Trail};
use apisec_proto::call::{AuthScheme, Traits};
use std::collections::BTreeSet;
use std::net::IpAddr;

pub(super) struct AuthTokenReplay;

const ABOUT: About = About {
    id: "auth-token-replay",
    owasp: "API2:2023",
    cwe: "CWE-294",
    title: "one token in several places",
    what: "A person's token is used from several addresses, in turns.",
    why: "Whoever took a token needs no password.",
    evidence: "Addresses of one family that take turns with one token within two minutes. Addresses that many tokens come \
               from are proxies and do not count; nor do keys and tokens of programs, which run in many places. A person \
               who moves from one network to another moves once.",
    remedy: "Revoke the token and have its owner log in anew; bind tokens to the client (DPoP, mTLS).",
    bound: "The newest 32 uses per token, and a distinct count per address.",
    settings: &[
        Setting { name: "turns", default: 3.0, what: "changes from one address to another" },
        Setting { name: "proxy", default: 5.0, what: "tokens of one address that make it a proxy" },
    ],
};

const USED: Mark = Mark::new("auth-token-replay.used");
/// Whom the token names: one moment, without a time.
const WHO: Mark = Mark::new("auth-token-replay.who");
const BEARS: Mark = Mark::new("auth-token-replay.bears");

/// Nanoseconds in which addresses take turns.
const WINDOW: u64 = 120 * SECOND;
/// Sets addresses apart from tokens.
const ADDRESS: u64 = 0x6164_6472;

impl Detector for AuthTokenReplay {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::CREDENTIAL
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let Some(credential) = seen.call.credential.as_deref() else { return };
        let of_person = matches!(seen.call.auth, AuthScheme::Jwt | AuthScheme::Bearer | AuthScheme::Cookie);
        if seen.outcome != Outcome::Accepted || !of_person || credential.is(Traits::OF_SERVICE) {
            return;
        }
        let (at, address) = (seen.call.at, address(seen.call.src_addr.ip()));
        let Some(trail) = notebook.apart(credential.token) else { return };
        trail.count(USED, 1);
        // Of a run of calls from one address the first and the last matter; one a second is enough.
        let is_noted = |last: &Moment| last.what == address && at / SECOND <= last.at / SECOND;
        if trail.moments(USED).last().is_some_and(is_noted) {
            return;
        }
        trail.auth.insert(seen.call.auth);
        trail.moment(WHO, 0, seen.call.identity.map_or(0, |identity| identity.0));
        trail.moment(USED, at, address);
        if let Some(trail) = notebook.apart(fingerprint::pair(ADDRESS, address)) {
            trail.insert(BEARS, credential.token);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let [turns, proxy] = ["turns", "proxy"].map(|name| cases.setting(&ABOUT, name));
        for case in cases.fresh(Scope::Apart) {
            let trail = case.total();
            let since = trail.last.saturating_sub(WINDOW);
            let used: Vec<&Moment> = trail.moments(USED).iter().filter(|moment| moment.at >= since).collect();
            let is_proxy = |address: u64| {
                let key = case.sibling(fingerprint::pair(ADDRESS, address));
                cases.get(&key).is_some_and(|other| other.total().distinct(BEARS) as f64 >= proxy)
            };
            let places: BTreeSet<u64> = used.iter().map(|moment| moment.what).collect();
            let families: Vec<Vec<u64>> = [0, 1]
                .map(|v6| {
                    places.iter().copied().filter(|place| place & 1 == v6 && !is_proxy(*place)).collect()
                })
                .into();
            for places in families.iter().filter(|places| places.len() > 1) {
                let way: Vec<u64> =
                    used.iter().map(|moment| moment.what).filter(|place| places.contains(place)).collect();
                let changes = way.windows(2).filter(|pair| pair.first() != pair.last()).count();
                // Moving on is no return: there must be more changes than places.
                if changes as f64 >= turns.max(places.len() as f64) {
                    bench.accuse(accusation(&case, trail, places.len(), changes));
                }
            }
        }
    }
}

fn accusation(case: &Case<'_>, trail: &Trail, places: usize, changes: usize) -> Accusation {
    let severity = if places > 2 { Severity::High } else { Severity::Medium };
    let who = trail.moments(WHO).first().map_or(0, |who| who.what);
    Accusation::of(case, trail)
        .by(who, trail.auth)
        .weigh(severity, if places > 2 { 7 } else { 5 })
        .say(
            "one token is used from several addresses in turns".to_owned(),
            format!(
                "{} accepted calls from {places} addresses that took turns {changes} times within two minutes",
                trail.counted(USED)
            ),
        )
        .fact("addresses", places as f64)
        .fact("turns", changes as f64)
        .suggest("identity", 0)
}

/// The number of an address; its lowest bit is its family.
fn address(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => fingerprint::pair(4, u64::from(u32::from(ip))) & !1,
        IpAddr::V6(ip) => fingerprint::pair(6, (u128::from(ip) >> 64) as u64) | 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;
    use apisec_proto::call::{Call, Credential};
    use std::sync::Arc;

    fn at(token: u64, machine: u8) -> impl FnOnce(&mut Call) {
        move |call| {
            call.src_addr = ([198, 51, 100, machine], 4000).into();
            call.credential = Some(Arc::new(Credential { token, ..Credential::default() }));
        }
    }

    #[test]
    fn the_owner_goes_on_while_others_use_the_token() {
        let mut scene = Scene::new();
        for _ in 0..3 {
            [1, 2, 3].iter().for_each(|machine| scene.user(1).call("GET", "/me", 200, at(7, *machine)));
        }
        let finding = scene.only("auth-token-replay");
        assert_eq!((finding.severity, finding.facts["addresses"]), (Severity::High, 3.0));
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        // Somebody moves on; two machines with a token each; a proxy pair that everybody comes through.
        for machine in [1, 1, 1, 2, 2, 2] {
            scene.user(1).call("GET", "/me", 200, at(7, machine));
        }
        for _ in 0..5 {
            scene.user(2).call("GET", "/me", 200, at(8, 10));
            scene.user(2).call("GET", "/me", 200, at(9, 11));
        }
        for round in 0..8 {
            (20..30).for_each(|user| scene.user(user).call("GET", "/me", 200, at(user, 100 + (round % 2))));
        }
        scene.nothing("auth-token-replay");
    }
}
