//! A token that nobody signed.

use super::{About, Cues, Detector, Notebook, Seen};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, OPEN, Outcome, Scope};
use apisec_proto::call::Traits;

pub(super) struct AuthAlgNone;

const ABOUT: About = About {
    id: "auth-alg-none",
    owasp: "API2:2023",
    cwe: "CWE-347",
    title: "tokens that nobody signed",
    what: "A JSON Web Token says `alg: none`, or has no signature.",
    why: "If the service takes it, everybody can be anybody.",
    evidence: "The head and the third part of the token. Accepted by an operation that refuses callers without a token, \
               or that nobody calls without one: there is hardly another explanation.",
    remedy: "Have the library verify signatures with a fixed list of algorithms; refuse `none`. Refuse the identity \
             meanwhile: whoever it names has not made it.",
    bound: "Two counts per actor and endpoint.",
    settings: &[],
};

const ACCEPTED: Mark = Mark::new("auth-alg-none.accepted");
const REFUSED: Mark = Mark::new("auth-alg-none.refused");

impl Detector for AuthAlgNone {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::ODD_CREDENTIAL
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if seen.credential_is(Traits::UNSIGNED)
            && let Some(trail) = notebook.actor()
        {
            trail.count(if seen.outcome == Outcome::Accepted { ACCEPTED } else { REFUSED }, 1);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        for case in cases.fresh(Scope::Actor) {
            let trail = case.total();
            let (accepted, refused) = (trail.counted(ACCEPTED), trail.counted(REFUSED));
            if accepted + refused == 0 {
                continue;
            }
            let is_open = cases.everybody(&case).is_some_and(|all| all.total().counted(OPEN) > 0);
            let (severity, points) = match (accepted, is_open) {
                (0, _) => (Severity::Low, 9),
                // Whoever needs no token may bring any.
                (_, true) => (Severity::Low, 4),
                _ => (Severity::High, 9),
            };
            let evidence = format!("{accepted} calls with an unsigned token accepted, {refused} refused");
            bench.accuse(
                Accusation::of(&case, trail)
                    .forged()
                    .weigh(severity, points)
                    .say(format!("an unsigned token at {}", case.operation()), evidence)
                    .fact("accepted", accepted as f64)
                    .fact("refused", refused as f64)
                    .suggest("identity", 0),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    #[test]
    fn accepted_is_high_and_refused_is_low() {
        let mut scene = Scene::new();
        scene.user(1).call("GET", "/users/me", 200, |call| Scene::credential(call, Traits::UNSIGNED));
        let finding = scene.only("auth-alg-none");
        assert_eq!(finding.severity, Severity::High);
        assert!(finding.suggestion.identity.is_empty(), "whom it names may have nothing to do with it");
        let mut scene = Scene::new();
        scene.user(1).call("GET", "/users/me", 401, |call| Scene::credential(call, Traits::UNSIGNED));
        assert_eq!(scene.only("auth-alg-none").severity, Severity::Low);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        scene.user(1).call("GET", "/users/me", 200, |call| Scene::credential(call, Traits::SHARED_SECRET));
        scene.user(1).get("/users/me", 200);
        scene.nothing("auth-alg-none");
        // Where nobody needs a token, any is as good as none.
        scene.anonymous().get("/products", 200);
        scene.user(1).call("GET", "/products", 200, |call| Scene::credential(call, Traits::UNSIGNED));
        assert_eq!(scene.only("auth-alg-none").severity, Severity::Low);
    }
}
