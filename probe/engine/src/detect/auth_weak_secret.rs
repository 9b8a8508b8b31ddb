//! Tokens that are signed with a word that everybody knows, and passwords of that kind.

use super::{About, Cues, Detector, Notebook, Seen};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, Scope};
use apisec_proto::call::Traits;

pub(super) struct AuthWeakSecret;

const ABOUT: About = About {
    id: "auth-weak-secret",
    owasp: "API2:2023",
    cwe: "CWE-521",
    title: "secrets that everybody knows",
    what: "Tokens are signed (HS256, HS384, HS512) with a word from a list, or a password of Basic authentication is short \
           or from that list.",
    why: "Whoever has one token finds the secret offline, without a single request, and signs tokens for anybody.",
    evidence: "The signature was reproduced with a word of the list. This is tried once for a token that was not seen \
               before, for at most eight a second.",
    remedy: "Sign with a random secret of 32 bytes or more, or with a key pair; end all tokens that are out.",
    bound: "Three counts per actor and endpoint.",
    settings: &[],
};

const SIGNED: Mark = Mark::new("auth-weak-secret.signed");
const PASSWORD: Mark = Mark::new("auth-weak-secret.password");
const REFUSED: Mark = Mark::new("auth-weak-secret.refused");

impl Detector for AuthWeakSecret {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::ODD_CREDENTIAL
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if seen.credential_is(Traits(Traits::WEAK_SECRET.0 | Traits::WEAK_PASSWORD.0))
            && let Some(trail) = notebook.actor()
        {
            let mark = match seen.outcome {
                Outcome::Accepted if seen.credential_is(Traits::WEAK_SECRET) => SIGNED,
                Outcome::Accepted => PASSWORD,
                _ => REFUSED,
            };
            trail.count(mark, 1);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        for case in cases.fresh(Scope::Client) {
            let trail = case.total();
            let [signed, password] = [SIGNED, PASSWORD].map(|mark| trail.counted(mark));
            let what = match (signed, password) {
                (0, 0) => continue,
                (0, _) => "a password that everybody knows",
                _ => "tokens signed with a word from a list",
            };
            let severity = if signed > 0 { Severity::High } else { Severity::Medium };
            let evidence = format!(
                "{} accepted calls of one identity; the secret was found in a list of words, offline",
                signed + password
            );
            bench.accuse(
                Accusation::of(&case, trail)
                    .of_everybody()
                    .weigh(severity, if signed > 0 { 10 } else { 7 })
                    .say(what.to_owned(), evidence)
                    .fact("calls", (signed + password) as f64),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    #[test]
    fn one_finding_for_a_service_whoever_bears_the_tokens() {
        let mut scene = Scene::new();
        for user in 1..5 {
            scene
                .user(user)
                .call("GET", "/users/me", 200, |call| Scene::credential(call, Traits::WEAK_SECRET));
        }
        let finding = scene.only("auth-weak-secret");
        assert_eq!((finding.severity, finding.actor.as_str()), (Severity::High, ""));
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        scene.user(1).call("GET", "/users/me", 200, |call| Scene::credential(call, Traits::SHARED_SECRET));
        scene.user(2).call("GET", "/users/me", 401, |call| Scene::credential(call, Traits::WEAK_SECRET));
        scene.nothing("auth-weak-secret");
    }
}
