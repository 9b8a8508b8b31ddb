//! A request that sets what its sender must not set.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, Scope};
use apisec_proto::body::Body;

pub(super) struct PropertyMassAssignment;

const ABOUT: About = About {
    id: "property-mass-assignment",
    owasp: "API3:2023",
    cwe: "CWE-915",
    title: "properties that the caller must not set",
    what: "A request writes a property by which rights or money are given (`role`, `is_admin`, `balance`), and is accepted.",
    why: "Frameworks copy what they are sent into the record, and the caller becomes an administrator.",
    evidence: "Names of keys in the bodies of accepted writing requests that were read. That the answer has the key too \
               makes it surer. Administrators and programs may; so may everybody where most requests have the key.",
    remedy: "Take only the properties that this operation is for; take back what was set.",
    bound: "Three counts and one moment per actor and endpoint.",
    settings: &[
        Setting {
            name: "usual",
            default: 0.3,
            what: "share of requests from which on the key is usual there, 0 to 1",
        },
        Setting { name: "samples", default: 20.0, what: "requests of others from which that is told" },
    ],
};

/// Keys by which rights or money are given, without separators.
const KEYS: [&str; 18] = [
    "role",
    "roles",
    "isadmin",
    "admin",
    "isstaff",
    "issuperuser",
    "superuser",
    "permissions",
    "privileges",
    "scopes",
    "accesslevel",
    "userlevel",
    "balance",
    "credit",
    "creditlimit",
    "isverified",
    "ispremium",
    "ownerid",
];

const READ: Mark = Mark::new("property-mass-assignment.read");
const SET: Mark = Mark::new("property-mass-assignment.set");
const ECHOED: Mark = Mark::new("property-mass-assignment.echoed");
const WHAT: Mark = Mark::new("property-mass-assignment.what");

impl Detector for PropertyMassAssignment {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::REQUEST
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let Some(bodies) = seen.call.bodies.as_deref() else { return };
        let Some(request) = bodies.request.as_ref() else { return };
        let writes = matches!(seen.call.method.as_str(), "PUT" | "POST" | "PATCH" | "MUTATION");
        if !writes || seen.outcome != Outcome::Accepted || seen.is_privileged() {
            return;
        }
        let Some(trail) = notebook.actor() else { return };
        trail.count(READ, 1);
        let set = keys(request);
        if set != 0 {
            trail.count(SET, 1);
            trail.moment(WHAT, 0, set);
            let echoed = bodies.response.as_ref().map_or(0, keys) & set != 0;
            trail.count(ECHOED, u64::from(echoed));
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let [usual, samples] = ["usual", "samples"].map(|name| cases.setting(&ABOUT, name));
        for case in cases.fresh(Scope::Actor) {
            let trail = case.total();
            let set = trail.counted(SET);
            if set == 0 {
                continue;
            }
            let all = cases.everybody(&case);
            let of_others =
                |mark| all.as_ref().map_or(0, |all| all.total().counted(mark) - trail.counted(mark));
            let (read, others) = (of_others(READ), of_others(SET));
            if read as f64 >= samples && others as f64 >= usual * read as f64 {
                continue;
            }
            let bits = trail.moments(WHAT).iter().fold(0, |all, moment| all | moment.what);
            let keys: Vec<&str> = KEYS
                .iter()
                .enumerate()
                .filter(|(bit, _)| bits & (1 << bit) != 0)
                .map(|(_, key)| *key)
                .collect();
            let echoed = trail.counted(ECHOED);
            let evidence = format!(
                "{} set in {set} accepted requests, {echoed} of them with the key in the answer; {others} of {read} \
                 requests of others have it",
                keys.join(", ")
            );
            // Without an answer that shows it or others to compare with, it may be how this operation is meant.
            let shown = echoed > 0 || read as f64 >= samples;
            let severity = if shown { Severity::High } else { Severity::Medium };
            bench.accuse(
                Accusation::of(&case, trail)
                    .weigh(severity, if echoed > 0 { 8 } else { 4 })
                    .say(format!("{} is set at {}", keys.join(", "), case.operation()), evidence)
                    .fact("requests", set as f64)
                    .fact("echoed", echoed as f64)
                    .suggest("identity", 0),
            );
        }
    }
}

/// Which keys a body has at its first two levels, as bits. What stands in a list belongs to its elements: each message of
/// a chat has a `role`.
fn keys(body: &Body) -> u64 {
    let is_shallow = |path: &str| path.matches('.').count() <= 2 && !path.contains('[');
    let shallow = body.shape.places().iter().filter(|place| is_shallow(&place.path));
    shallow.fold(0, |bits, place| {
        let last = place.path.rsplit('.').next().unwrap_or_default().as_bytes();
        let is = |key: &str| {
            let mut plain =
                last.iter().filter(|byte| !matches!(byte, b'_' | b'-')).map(u8::to_ascii_lowercase);
            key.bytes().all(|byte| plain.next() == Some(byte)) && plain.next().is_none()
        };
        KEYS.iter().position(|key| is(key)).map_or(bits, |bit| bits | 1 << bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    #[test]
    fn a_role_that_comes_along() {
        let mut scene = Scene::new();
        scene.user(1).call("PUT", "/users/7", 200, |call| {
            Scene::answer(call, &[".name", ".role"], &[]);
            Scene::request(call, &[".name", ".Is_Admin", ".role"]);
        });
        let finding = scene.only("property-mass-assignment");
        assert_eq!(finding.severity, Severity::High);
        assert!(finding.title.starts_with("role, isadmin is set"), "{}", finding.title);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        for user in 0..30 {
            scene
                .user(user)
                .call("PUT", "/users/7", 200, |call| Scene::request(call, &[".name", ".roles_wanted"]));
            scene.user(user).call("PUT", "/users/7", 403, |call| Scene::request(call, &[".role"]));
            scene.user(user).call("POST", "/teams", 200, |call| Scene::request(call, &[".owner_id"]));
        }
        scene.user(99).call("PUT", "/users/7", 200, |call| {
            Scene::administrator(call);
            Scene::request(call, &[".role"]);
        });
        scene
            .user(1)
            .call("POST", "/v1/chat", 200, |call| Scene::request(call, &[".model", ".messages[].role"]));
        // The first few who send a key are not told from what is usual later: they stay low in confidence.
        let found = scene.found("property-mass-assignment");
        assert!(found.iter().all(|finding| finding.severity < Severity::High), "{found:#?}");
        assert!(found.iter().all(|finding| finding.path != "/v1/chat"), "{found:#?}");
    }
}
