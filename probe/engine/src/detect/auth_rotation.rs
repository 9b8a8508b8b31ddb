//! Tokens that never end, or not for long.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, Scope};
use apisec_proto::call::Traits;

pub(super) struct AuthRotation;

const ABOUT: About = About {
    id: "auth-rotation",
    owasp: "API2:2023",
    cwe: "CWE-324",
    title: "tokens that are good for too long",
    what: "A service accepts tokens without an end, or ones that are good for more than five days.",
    why: "What is stolen stays good, and nobody has to come back for a new one.",
    evidence: "`exp` and `iat` of accepted tokens. A weakness, not an attack.",
    remedy: "Issue tokens for minutes or hours, with a refresh token that can be revoked.",
    bound: "One count per actor and endpoint.",
    settings: &[Setting { name: "calls", default: 5.0, what: "accepted calls of one client" }],
};

const LONG: Mark = Mark::new("auth-rotation.long");

impl Detector for AuthRotation {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::ODD_CREDENTIAL
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if seen.credential_is(Traits(Traits::ENDLESS.0 | Traits::LONG_LIVED.0))
            && seen.outcome == Outcome::Accepted
            && let Some(trail) = notebook.actor()
        {
            trail.count(LONG, 1);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        for case in cases.fresh(Scope::Client) {
            let (trail, long) = (case.total(), case.total().counted(LONG));
            if (long as f64) < cases.setting(&ABOUT, "calls") {
                continue;
            }
            bench.accuse(
                Accusation::of(&case, trail)
                    .of_everybody()
                    .weigh(Severity::Low, 8)
                    .say(
                        "tokens without an end, or good for days, are accepted".to_owned(),
                        format!("{long} of {} calls of one client", trail.calls),
                    )
                    .fact("calls", long as f64),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    #[test]
    fn an_endless_token_is_a_weakness() {
        let mut scene = Scene::new();
        (0..5).for_each(|_| {
            scene.user(1).call("GET", "/a", 200, |call| Scene::credential(call, Traits::ENDLESS));
        });
        assert_eq!(scene.only("auth-rotation").severity, Severity::Low);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        (0..4).for_each(|_| {
            scene.user(1).call("GET", "/a", 200, |call| Scene::credential(call, Traits::ENDLESS));
        });
        (0..9).for_each(|_| {
            scene.user(2).call("GET", "/a", 200, |call| Scene::credential(call, Traits::OF_ADMIN));
        });
        scene.nothing("auth-rotation");
    }
}
