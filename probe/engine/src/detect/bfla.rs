//! Somebody who is no administrator where only administrators have something to do.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Case, Cases};
use crate::endpoint::is_external;
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, Scope};

pub(super) struct Bfla;

const ABOUT: About = About {
    id: "bfla",
    owasp: "API5:2023",
    cwe: "CWE-285",
    title: "operations above one's station",
    what: "An identity without an administrator's role uses operations of administrators; or was refused there and is \
           accepted a little later; or tries one after the other; or a caller from outside does so without any credential.",
    why: "Operations that change everything are guarded by nothing but that nobody knows their path.",
    evidence: "Words of the path (admin, manage, internal, actuator …) and the roles that tokens name. Health checks and \
               callers inside that use no credentials are no finding. That tokens of administrators are seen at the same \
               service makes it surer.",
    remedy: "Check the role in the handler; look at what the identity has done since, and how it got its role.",
    bound: "Four counts and the newest 32 moments per actor and endpoint.",
    settings: &[Setting {
        name: "tries",
        default: 3.0,
        what: "refused calls to operations of administrators",
    }],
};

const AS_ADMIN: Mark = Mark::new("bfla.as-admin");
const WITHOUT: Mark = Mark::new("bfla.without");
const NAMELESS: Mark = Mark::new("bfla.nameless");
const DENIED: Mark = Mark::new("bfla.denied");
const ENTERED: Mark = Mark::new("bfla.entered");

impl Detector for Bfla {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::ADMIN
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if !seen.place.is_admin {
            return;
        }
        let Some(trail) = notebook.actor() else { return };
        let at = seen.call.at;
        match seen.outcome {
            Outcome::Denied => {
                trail.count(DENIED, 1);
                trail.moment(DENIED, at, 0);
            }
            Outcome::Accepted => {
                trail.moment(ENTERED, at, 0);
                let mark = match seen.call.credential.as_deref() {
                    _ if seen.is_privileged() => AS_ADMIN,
                    Some(credential) if !credential.claims.is_empty() => WITHOUT,
                    Some(_) => return,
                    None => NAMELESS,
                };
                trail.count(mark, 1);
            }
            _ => {}
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let tries = cases.setting(&ABOUT, "tries");
        for case in cases.fresh(Scope::Actor) {
            if let Some(accusation) = at_endpoint(&case, cases) {
                bench.accuse(accusation);
            }
        }
        for case in cases.fresh(Scope::Client).filter(Case::is_somebody) {
            let trail = case.total();
            let [denied, as_admin] = [DENIED, AS_ADMIN].map(|mark| trail.counted(mark));
            if (denied as f64) < tries {
                continue;
            }
            let first = trail.moments(DENIED).first().map_or(u64::MAX, |moment| moment.at);
            let rose = trail.moments(ENTERED).iter().any(|moment| moment.at > first);
            let (severity, points, what) = match rose {
                true => (Severity::High, 7, "was refused operations of administrators, and has them now"),
                false => (Severity::Low, 7, "tries operations of administrators"),
            };
            let after = trail.moments(ENTERED).iter().filter(|moment| moment.at > first).count();
            bench.accuse(
                Accusation::of(&case, trail)
                    .weigh(severity, points)
                    .say(
                        format!("one identity {what}"),
                        format!("{denied} refused, {after} accepted afterwards ({as_admin} with an administrator's token)"),
                    )
                    .fact("denied", denied as f64)
                    .fact("accepted", after as f64)
                    .suggest("identity", 0),
            );
        }
    }
}

/// What an actor did at one operation of administrators.
fn at_endpoint(case: &Case<'_>, cases: &Cases<'_>) -> Option<Accusation> {
    let trail = case.total();
    let [without, nameless] = [WITHOUT, NAMELESS].map(|mark| trail.counted(mark));
    let (points, count, who) = if without > 0 {
        let admins = cases.everybody(case).map_or(0, |all| all.total().counted(AS_ADMIN));
        (if admins > 0 { 8 } else { 5 }, without, "an identity without an administrator's role")
    } else if nameless > 0 && is_external(&case.key.caller) {
        (6, nameless, "a caller from outside without a credential")
    } else {
        return None;
    };
    Some(
        Accusation::of(case, trail)
            .weigh(Severity::High, points)
            .say(
                format!("an operation of administrators, {}, is open to others", case.operation()),
                format!("{count} accepted calls by {who}"),
            )
            .fact("accepted", count as f64)
            .suggest("identity", 0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    #[test]
    fn a_customer_in_the_administrators_rooms() {
        let mut scene = Scene::new();
        scene.user(1).call("GET", "/admin/users", 200, Scene::administrator);
        scene.nothing("bfla");
        scene.user(9).call("GET", "/admin/users", 200, |call| Scene::claims(call, false));
        assert_eq!(scene.only("bfla").severity, Severity::High);
    }

    #[test]
    fn refused_then_accepted() {
        let mut scene = Scene::new();
        let rooms = ["/admin/users", "/admin/orders", "/admin/reports/2026-11-01", "/admin/prices"];
        rooms.iter().for_each(|room| scene.user(9).call("GET", room, 403, |call| Scene::claims(call, false)));
        assert_eq!(scene.only("bfla").severity, Severity::Low);
        rooms.iter().for_each(|room| scene.user(9).call("GET", room, 200, Scene::administrator));
        assert_eq!(scene.only("bfla").severity, Severity::High);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        (0..9).for_each(|_| scene.user(1).call("GET", "/admin/users", 200, Scene::administrator));
        (0..2)
            .for_each(|_| scene.user(2).call("GET", "/admin/users", 403, |call| Scene::claims(call, false)));
        scene.anonymous().get("/actuator/health", 200);
        scene.anonymous().from("process:agent").get("/internal/jobs", 200);
        scene.nothing("bfla");
    }
}
