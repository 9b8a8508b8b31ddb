//! Something that should need a credential, and does not, or not always.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, OPEN, Outcome, SENSITIVE, Scope};
use apisec_proto::call::AuthScheme;

pub(super) struct AuthMissing;

const ABOUT: About = About {
    id: "auth-missing",
    owasp: "API2:2023",
    cwe: "CWE-306",
    title: "operations without authentication",
    what: "An operation gives sensitive data to callers without any credential, or refuses some of them for the lack of \
           one and serves others.",
    why: "What needs no credential is everybody's.",
    evidence: "Accepted calls without a credential; sensitive classes in the answers of those whose bodies were read. \
               Operations by which one gets in, health checks, and open operations without sensitive data are no finding.",
    remedy: "Require authentication at the operation itself, not only at the way that leads to it.",
    bound: "Two counts per actor and endpoint.",
    settings: &[Setting {
        name: "answers",
        default: 3.0,
        what: "answers with sensitive data and without a credential",
    }],
};

/// Accepted without a credential, with sensitive data in the answer.
const EXPOSED: Mark = Mark::new("auth-missing.exposed");
/// Refused for the lack of one.
const DENIED: Mark = Mark::new("auth-missing.denied");

impl Detector for AuthMissing {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::ANSWER.or(Cues::DENIED)
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if seen.call.auth != AuthScheme::None || seen.place.is_login || seen.place.is_health {
            return;
        }
        let mark = match seen.outcome {
            Outcome::Accepted if seen.is_sensitive() => EXPOSED,
            Outcome::Denied => DENIED,
            _ => return,
        };
        if let Some(trail) = notebook.actor() {
            trail.count(mark, 1);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let answers = cases.setting(&ABOUT, "answers");
        for case in cases.fresh(Scope::Endpoint) {
            let trail = case.total();
            let [open, exposed, denied] = [OPEN, EXPOSED, DENIED].map(|mark| trail.counted(mark));
            let with = trail.with(Outcome::Accepted).saturating_sub(open);
            let accusation = Accusation::of(&case, trail).of_everybody().fact("open", open as f64);
            if exposed as f64 >= answers {
                let evidence = format!(
                    "{open} accepted calls without a credential; sensitive data in {exposed} of the {} answers that \
                     were read ({with} accepted with one, {denied} refused without)",
                    trail.counted(SENSITIVE).max(exposed)
                );
                bench.accuse(
                    accusation
                        .weigh(Severity::High, if with > 0 || denied > 0 { 7 } else { 5 })
                        .say(format!("sensitive data of {} without a credential", case.operation()), evidence)
                        .fact("exposed", exposed as f64)
                        .suggest("endpoint", 0),
                );
            } else if denied > 0 && open as f64 >= answers && !case.place().is_login {
                let evidence = format!(
                    "{open} calls without a credential accepted, {denied} refused for the lack of one"
                );
                bench.accuse(
                    accusation
                        .weigh(Severity::Medium, 5)
                        .say(format!("{} does not always ask for a credential", case.operation()), evidence)
                        .fact("denied", denied as f64),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;
    use apisec_proto::sensitive::Sensitive;

    #[test]
    fn personal_data_for_everybody() {
        let mut scene = Scene::new();
        for _ in 0..4 {
            let card = |call: &mut _| Scene::answer(call, &[".card"], &[Sensitive::Card]);
            scene.anonymous().call("GET", "/customers/7", 200, card);
        }
        assert_eq!(scene.only("auth-missing").severity, Severity::High);
    }

    #[test]
    fn sometimes_is_a_finding_too() {
        let mut scene = Scene::new();
        scene.anonymous().get("/orders", 401);
        (0..3).for_each(|_| scene.anonymous().get("/orders", 200));
        assert_eq!(scene.only("auth-missing").severity, Severity::Medium);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        for _ in 0..9 {
            scene.anonymous().get("/products/7", 200);
            scene.anonymous().get("/health", 200);
            scene.user(1).call("GET", "/me", 200, |call| Scene::answer(call, &[".card"], &[Sensitive::Card]));
            scene
                .anonymous()
                .call("POST", "/login", 200, |call| Scene::answer(call, &[".t"], &[Sensitive::Jwt]));
            scene.anonymous().get("/orders", 401);
        }
        scene.nothing("auth-missing");
    }
}
