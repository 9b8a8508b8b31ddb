//! An object that belongs to somebody else, where everybody asks for their own.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Case, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, Scope};
use apisec_proto::call::MAX_CLAIMS;

pub(super) struct BolaOwnership;

const ABOUT: About = About {
    id: "bola-ownership",
    owasp: "API1:2023",
    cwe: "CWE-639",
    title: "an object of somebody else",
    what: "At an operation where a segment of the path is the caller's own claim (its subject, account, tenant), somebody \
           is given another one.",
    why: "One call is enough to take one account; no volume gives it away.",
    evidence: "Which claim equals which segment is learnt from accepted calls: at least 95 % of 30 calls by 5 identities. \
               Before that, an identity that asks for its own and for another one is a guess of low confidence. \
               Administrators and programs do not count.",
    remedy: "Compare the owner of the object with the caller in the handler; look at what was given.",
    bound: "One count per claim and segment that were ever equal, per actor and endpoint: twelve at most.",
    settings: &[
        Setting { name: "share", default: 0.95, what: "share of calls with equal values, 0 to 1" },
        Setting { name: "calls", default: 30.0, what: "accepted calls from which is learnt" },
        Setting { name: "identities", default: 5.0, what: "identities that asked for their own" },
    ],
};

/// Segments in which owners stand: `/api/v1/users/{id}` and one more level.
const SEGMENTS: usize = 6;
/// Accepted calls of persons whose credential has claims.
const CLAIMED: Mark = Mark::new("bola-ownership.claimed");
const EQUAL: [[Mark; SEGMENTS]; 2] = [
    [
        Mark::new("bola-ownership.0.0"),
        Mark::new("bola-ownership.0.1"),
        Mark::new("bola-ownership.0.2"),
        Mark::new("bola-ownership.0.3"),
        Mark::new("bola-ownership.0.4"),
        Mark::new("bola-ownership.0.5"),
    ],
    [
        Mark::new("bola-ownership.1.0"),
        Mark::new("bola-ownership.1.1"),
        Mark::new("bola-ownership.1.2"),
        Mark::new("bola-ownership.1.3"),
        Mark::new("bola-ownership.1.4"),
        Mark::new("bola-ownership.1.5"),
    ],
];
const _: () = assert!(EQUAL.len() <= MAX_CLAIMS);

impl Detector for BolaOwnership {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::OBJECTS
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let Some(credential) = seen.call.credential.as_deref() else { return };
        let objects = &seen.call.objects;
        if credential.claims.is_empty() || seen.outcome != Outcome::Accepted || objects.asked.is_empty() {
            return;
        }
        if seen.is_privileged() {
            return;
        }
        let Some(trail) = notebook.actor() else { return };
        trail.count(CLAIMED, 1);
        for (claim, marks) in EQUAL.iter().enumerate() {
            let own = marks.iter().enumerate().filter(|(segment, _)| objects.owns(claim, *segment));
            own.for_each(|(_, mark)| trail.count(*mark, 1));
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let [share, calls, identities] =
            ["share", "calls", "identities"].map(|name| cases.setting(&ABOUT, name));
        for case in cases.fresh(Scope::Actor).filter(Case::is_somebody) {
            let claimed = case.total().counted(CLAIMED);
            if claimed == 0 {
                continue;
            }
            let Some(all) = cases.everybody(&case) else { continue };
            // Others teach; the accused may not outvote them.
            let others = all.total().counted(CLAIMED).saturating_sub(claimed);
            for mark in EQUAL.as_flattened() {
                let own = case.total().counted(*mark);
                let equal = all.total().counted(*mark).saturating_sub(own);
                let foreign = claimed.saturating_sub(own);
                if foreign == 0 || equal + own == 0 {
                    continue;
                }
                let owners = cases.others(&case).filter(|other| other.total().counted(*mark) > 0).count();
                let is_rule = equal as f64 >= share * others as f64;
                let learnt = is_rule && others as f64 >= calls && owners as f64 >= identities;
                let guess = is_rule && own > 0 && own >= foreign;
                if !learnt && !guess {
                    continue;
                }
                let evidence = format!(
                    "{foreign} accepted calls for objects of others ({own} for its own); {equal} of {others} calls by \
                     {owners} others were for their own"
                );
                bench.accuse(
                    Accusation::of(&case, case.total())
                        .weigh(
                            if learnt { Severity::High } else { Severity::Medium },
                            if learnt { 9 } else { 3 },
                        )
                        .say(format!("objects of somebody else at {}", case.operation()), evidence)
                        .fact("foreign", foreign as f64)
                        .fact("learnt_from", others as f64)
                        .suggest("identity", 0),
                );
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    fn asks(scene: &mut Scene, user: u64, for_user: u64, status: u16) {
        let path = format!("/users/{for_user}");
        scene.user(user).call("GET", &path, status, |call| Scene::claims(call, user == for_user));
    }

    #[test]
    fn one_account_of_somebody_else() {
        let mut scene = Scene::new();
        (0..40).for_each(|n| asks(&mut scene, 1 + n % 8, 1 + n % 8, 200));
        scene.nothing("bola-ownership");
        asks(&mut scene, 9, 3, 200);
        let finding = scene.only("bola-ownership");
        assert_eq!((finding.severity, finding.facts["foreign"]), (Severity::High, 1.0));
    }

    #[test]
    fn before_anything_is_learnt_it_is_a_guess() {
        let mut scene = Scene::new();
        [9, 9, 3, 3].iter().for_each(|other| asks(&mut scene, 9, *other, 200));
        assert_eq!(scene.only("bola-ownership").severity, Severity::Medium);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        for n in 0..60 {
            // Profiles that everybody looks at; what is refused; administrators.
            let path = format!("/profiles/{}", n % 7);
            scene.user(n % 9).call("GET", &path, 200, |call| Scene::claims(call, n % 7 == n % 9));
            asks(&mut scene, n % 9, n % 9, 200);
            asks(&mut scene, 20, 3, 403);
            scene.user(30).call("GET", "/users/4", 200, Scene::administrator);
        }
        let found: Vec<_> = scene.found("bola-ownership").into_iter().map(|f| (f.severity, f.path)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}
