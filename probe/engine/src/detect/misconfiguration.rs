//! Doors that a server leaves open, seen in its answers.

use super::{About, Cues, Detector, Notebook, Seen};
use crate::case::{Accusation, Bench, Case, Cases};
use crate::finding::Severity;
use crate::flow;
use crate::trail::{Mark, Outcome, Scope};
use apisec_proto::call::{AuthScheme, Call, Notes};

pub(super) struct Misconfiguration;

const ABOUT: About = About {
    id: "misconfiguration",
    owasp: "API8:2023",
    cwe: "CWE-16",
    title: "a door that nobody closed",
    what: "An answer lets a foreign origin in with the user's credentials, shows the code that failed, echoes a \
           request (TRACE), or takes a credential in plain text from outside; pages without protective fields and \
           version banners, as lesser ones.",
    why: "Nobody has to break in where a default was left as it came.",
    evidence: "What the heads and bodies of answers say, counted per operation or service.",
    remedy: "Name the origins that may come, answer failures with a number and log the rest, switch TRACE off, end \
             plain HTTP at the edge, send nosniff and a content security policy, take versions out of banners.",
    bound: "Six counts per operation.",
    settings: &[],
};

/// A kind of open door.
struct Door {
    mark: Mark,
    severity: Severity,
    points: u8,
    /// It is a matter of the server as a whole.
    of_service: bool,
    title: &'static str,
}

const DOORS: [Door; 6] = [
    Door {
        mark: Mark::new("misconfiguration.cors"),
        severity: Severity::High,
        points: 9,
        of_service: true,
        title: "lets foreign origins in with credentials",
    },
    Door {
        mark: Mark::new("misconfiguration.trace"),
        severity: Severity::Medium,
        points: 9,
        of_service: true,
        title: "answers TRACE with what it was sent",
    },
    Door {
        mark: Mark::new("misconfiguration.stack"),
        severity: Severity::Medium,
        points: 8,
        of_service: false,
        title: "shows the code that failed",
    },
    Door {
        mark: Mark::new("misconfiguration.plain"),
        severity: Severity::Medium,
        points: 6,
        of_service: true,
        title: "takes credentials in plain text from outside",
    },
    Door {
        mark: Mark::new("misconfiguration.page"),
        severity: Severity::Low,
        points: 6,
        of_service: true,
        title: "sends pages without protective fields",
    },
    Door {
        mark: Mark::new("misconfiguration.banner"),
        severity: Severity::Info,
        points: 8,
        of_service: true,
        title: "says which version it is",
    },
];

/// What makes a call worth a closer look; a credential over plain text has no note.
const NOTED: Notes = Notes(Notes::OPEN_CORS.0 | Notes::STACK_TRACE.0 | Notes::UNHARDENED.0 | Notes::BANNER.0);

impl Detector for Misconfiguration {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::NOTES.or(Cues::PUBLIC).or(Cues::TRACE)
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let call = seen.call;
        let traced = call.method == "TRACE" && seen.outcome == Outcome::Accepted;
        let plain = is_plain(call);
        if !call.notes.any(NOTED) && !traced && !plain {
            return;
        }
        let open = [
            call.notes.any(Notes::OPEN_CORS),
            traced,
            call.notes.any(Notes::STACK_TRACE),
            plain,
            call.notes.any(Notes::UNHARDENED),
            call.notes.any(Notes::BANNER),
        ];
        if let Some(trail) = notebook.actor() {
            DOORS.iter().zip(open).filter(|(_, open)| *open).for_each(|(door, _)| trail.count(door.mark, 1));
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        for (scope, of_service) in [(Scope::Endpoint, false), (Scope::Edge, true)] {
            for case in cases.fresh(scope).filter(|case| !case.total().counts.is_empty()) {
                accuse(&case, of_service, bench);
            }
        }
    }
}

/// All open doors of one kind are one finding, as bad as the worst of them.
fn accuse(case: &Case<'_>, of_service: bool, bench: &mut Bench<'_>) {
    let open = || {
        let doors = DOORS.iter().filter(|door| door.of_service == of_service);
        doors.map(|door| (door, case.total().counted(door.mark))).filter(|(_, answers)| *answers > 0)
    };
    let Some((worst, answers)) = open().max_by_key(|(door, _)| door.severity) else { return };
    let all: Vec<String> =
        open().map(|(door, answers)| format!("{} ({answers} calls)", door.title)).collect();
    let title = format!("{}{} {}", case.key.endpoint.service, case.path, worst.title);
    let accusation = Accusation::of(case, case.total())
        .of_everybody()
        .weigh(worst.severity, worst.points)
        .say(title, format!("{}; {} calls in all", all.join("; "), case.total().calls))
        .fact("answers", answers as f64);
    bench.accuse(accusation);
}

/// A credential that came from outside without TLS, as far as this end can tell.
fn is_plain(call: &Call) -> bool {
    let has_proof = !matches!(call.auth, AuthScheme::None | AuthScheme::Unread);
    has_proof
        && call.tls.is_none()
        && !call.notes.any(Notes::TLS_IN_FRONT)
        && flow::is_public(call.src_addr.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    fn noted(notes: Notes) -> impl FnOnce(&mut Call) {
        move |call| call.notes.add(notes)
    }

    #[test]
    fn every_door_is_seen() {
        let mut scene = Scene::new();
        scene.user(1).call("GET", "/orders", 200, noted(Notes::OPEN_CORS));
        scene.user(1).call("GET", "/reports/x", 500, noted(Notes::STACK_TRACE));
        scene.user(1).call("TRACE", "/", 200, noted(Notes::default()));
        scene.user(1).call("GET", "/", 200, noted(Notes::UNHARDENED));
        scene.user(1).call("GET", "/", 200, noted(Notes::BANNER));
        scene.user(1).call("GET", "/me", 200, |call| call.src_addr = ([198, 51, 100, 7], 5000).into());
        let found = scene.found("misconfiguration");
        assert!(found.iter().all(|finding| finding.actor.is_empty()));
        let severities: Vec<(&str, Severity)> =
            found.iter().map(|finding| (finding.path.as_str(), finding.severity)).collect();
        let expected = [("", Severity::High), ("/reports/x", Severity::Medium)];
        assert!(expected.iter().all(|one| severities.contains(one)) && found.len() == 2, "{severities:?}");
        let service = found.iter().find(|finding| finding.path.is_empty()).unwrap();
        for door in ["foreign origins", "TRACE", "plain text", "pages without", "version"] {
            assert!(service.evidence.contains(door), "{}", service.evidence);
        }
    }

    #[test]
    fn near_misses() {
        // TRACE that is refused, a credential behind a proxy that ends TLS, one from a neighbour, nothing to protect.
        let mut scene = Scene::new();
        scene.user(1).call("TRACE", "/", 405, noted(Notes::default()));
        scene.user(1).call("GET", "/me", 200, |call| {
            call.src_addr = ([198, 51, 100, 7], 5000).into();
            call.notes.add(Notes::TLS_IN_FRONT);
        });
        scene.user(1).call("GET", "/me", 200, |call| call.src_addr = ([10, 0, 0, 7], 5000).into());
        scene.anonymous().call("GET", "/", 200, |call| call.src_addr = ([198, 51, 100, 7], 5000).into());
        scene.user(1).call("GET", "/a", 200, noted(Notes::FOREIGN_ORIGIN));
        scene.nothing("misconfiguration");
    }
}
