//! A token whose time is over, and that is taken nevertheless.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, OPEN, Outcome, Scope};

pub(super) struct AuthExpired;

const ABOUT: About = About {
    id: "auth-expired",
    owasp: "API2:2023",
    cwe: "CWE-613",
    title: "expired tokens that are accepted",
    what: "A token says that it ended, and the service accepts it.",
    why: "A token that was stolen once is good for ever.",
    evidence: "`exp` of the token against the time of the call, with two minutes to spare for clocks. What is refused is no \
               finding: that is how it should be.",
    remedy: "Verify `exp` where the signature is verified.",
    bound: "One count per actor and endpoint.",
    settings: &[Setting { name: "calls", default: 2.0, what: "accepted calls of one identity" }],
};

/// Seconds by which clocks may differ.
const LEEWAY: u64 = 120;

const ACCEPTED: Mark = Mark::new("auth-expired.accepted");

impl Detector for AuthExpired {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::ENDS
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let Some(credential) = seen.call.credential.as_deref() else { return };
        let is_over = credential.expires > 0 && seen.call.at / 1_000_000_000 > credential.expires + LEEWAY;
        if is_over
            && seen.outcome == Outcome::Accepted
            && let Some(trail) = notebook.actor()
        {
            trail.count(ACCEPTED, 1);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        for case in cases.fresh(Scope::Actor) {
            let trail = case.total();
            let accepted = trail.counted(ACCEPTED);
            let is_open = || cases.everybody(&case).is_some_and(|all| all.total().counted(OPEN) > 0);
            if (accepted as f64) < cases.setting(&ABOUT, "calls") || is_open() {
                continue;
            }
            let evidence =
                format!("{accepted} of {} calls with a token that had ended were accepted", trail.calls);
            bench.accuse(
                Accusation::of(&case, trail)
                    .weigh(Severity::High, 8)
                    .say(format!("an expired token is accepted at {}", case.operation()), evidence)
                    .fact("accepted", accepted as f64)
                    .suggest("identity", 0),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;
    use apisec_proto::call::{Call, Credential};
    use std::sync::Arc;

    fn ends(call: &mut Call, in_seconds: i64) {
        let now = (call.at / 1_000_000_000) as i64;
        let credential = Credential { expires: (now + in_seconds) as u64, ..Credential::default() };
        call.credential = Some(Arc::new(credential));
    }

    #[test]
    fn an_expired_token_that_is_accepted() {
        let mut scene = Scene::new();
        (0..3).for_each(|_| scene.user(1).call("GET", "/users/me", 200, |call| ends(call, -600)));
        assert_eq!(scene.only("auth-expired").facts["accepted"], 3.0);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        for _ in 0..3 {
            scene.user(1).call("GET", "/users/me", 401, |call| ends(call, -600));
            scene.user(2).call("GET", "/users/me", 200, |call| ends(call, 600));
            scene.user(3).call("GET", "/users/me", 200, |call| ends(call, -60));
        }
        scene.nothing("auth-expired");
    }
}
