//! A WebSocket that a script of somebody else opened.

use super::{About, Cues, Detector, Notebook, Seen};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Scope, Tries};
use apisec_proto::call::{AuthScheme, Notes};

pub(super) struct WebsocketOrigin;

const ABOUT: About = About {
    id: "websocket-origin",
    owasp: "API2:2023",
    cwe: "CWE-1385",
    title: "a WebSocket opened by a foreign script",
    what: "An upgrade comes from a foreign origin with nothing but what a browser adds by itself, and is accepted.",
    why: "Browsers send cookies along with an upgrade whoever asks, and no CORS applies: a page of somebody else then speaks as the user.",
    evidence: "Origin and host of the upgrade differ in their domain; there is no token that only the own script has.",
    remedy: "Compare the origin of every upgrade with a list, and ask for a token in the first message.",
    bound: "Two counts per actor and endpoint.",
    settings: &[],
};

const TRIES: Tries = Tries::new("websocket-origin.seen", "websocket-origin.accepted");

impl Detector for WebsocketOrigin {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::NOTES
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if seen.call.notes.any(Notes::FOREIGN_ORIGIN)
            && seen.call.notes.any(Notes::UPGRADED)
            && matches!(seen.call.auth, AuthScheme::None | AuthScheme::Cookie | AuthScheme::Basic)
            && let Some(trail) = notebook.actor()
        {
            TRIES.note(trail, seen.outcome);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        for case in cases.fresh(Scope::Actor) {
            let Some((tried, accepted)) = TRIES.of(case.total()) else { continue };
            let severity = if accepted > 0 { Severity::High } else { Severity::Low };
            let accusation = Accusation::of(&case, case.total())
                .weigh(severity, 7)
                .say(
                    format!("{} is opened by scripts of others", case.operation()),
                    format!("{tried} upgrades from a foreign origin without a token of the own script, {accepted} accepted"),
                )
                .fact("tried", tried as f64)
                .fact("accepted", accepted as f64)
                .suggest("identity", 0);
            bench.accuse(accusation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    #[test]
    fn accepted_is_worse_than_refused() {
        let mut scene = Scene::new();
        scene.anonymous().call("GET", "/live", 101, |call| {
            call.notes.add(Notes(Notes::FOREIGN_ORIGIN.0 | Notes::UPGRADED.0));
        });
        assert_eq!(scene.only("websocket-origin").severity, Severity::High);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        // A script of one's own, and a foreign one that has a token.
        scene.anonymous().call("GET", "/live", 101, |call| call.notes.add(Notes::UPGRADED));
        scene.user(1).call("GET", "/live", 101, |call| {
            call.notes.add(Notes(Notes::FOREIGN_ORIGIN.0 | Notes::UPGRADED.0));
        });
        scene.nothing("websocket-origin");
    }
}
