//! What should have been switched off: an old version beside its successor, a host that is not for production.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Case, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, Scope};

pub(super) struct Inventory;

const ABOUT: About = About {
    id: "inventory",
    owasp: "API9:2023",
    cwe: "CWE-1059",
    title: "in use, and should not be there",
    what: "An operation of an old version is answered although a newer one exists beside it; a host whose name says \
           that it is for tests takes part in real traffic.",
    why: "Old versions and test hosts miss the checks that were added since, and reach the same data.",
    evidence: "Paths that differ in nothing but the number behind `v`, both answered; host names with a part such as \
               `staging` or `dev`. What a specification documents and does not is the drift view's.",
    remedy: "Move the callers that are named here to the new version and switch the old one off; cut test hosts off \
             from production.",
    bound: "One count per operation.",
    settings: &[Setting { name: "calls", default: 3.0, what: "accepted calls before anything is said" }],
};

const TEST_HOST: Mark = Mark::new("inventory.test-host");
/// Parts of a host name that say what it is for.
const NOT_PRODUCTION: [&str; 11] =
    ["staging", "stage", "dev", "test", "qa", "uat", "sandbox", "preprod", "preview", "old", "legacy"];

impl Detector for Inventory {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::TEST_HOST
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if seen.outcome == Outcome::Accepted
            && let Some(trail) = notebook.actor()
        {
            trail.count(TEST_HOST, 1);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let least = cases.setting(&ABOUT, "calls") as u64;
        for case in cases.fresh(Scope::Endpoint).filter(|case| case.total().with(Outcome::Accepted) >= least)
        {
            if let Some(newer) = newer(cases, &case) {
                old_version(&case, &newer, bench);
            }
        }
        for case in cases.fresh(Scope::Edge).filter(|case| case.total().counted(TEST_HOST) >= least) {
            test_host(&case, bench);
        }
    }
}

fn old_version(case: &Case<'_>, newer: &Case<'_>, bench: &mut Bench<'_>) {
    let (old, new) = (case.total().with(Outcome::Accepted), newer.total().with(Outcome::Accepted));
    let accusation = Accusation::of(case, case.total())
        .of_everybody()
        .weigh(Severity::Medium, 7)
        .say(
            format!("{} is answered beside {}", case.path, newer.path),
            format!("{old} calls of the old version were accepted, {new} of the newer one"),
        )
        .fact("old", old as f64)
        .fact("new", new as f64)
        .suggest("endpoint", 0);
    bench.accuse(accusation);
}

fn test_host(case: &Case<'_>, bench: &mut Bench<'_>) {
    let calls = case.total().counted(TEST_HOST);
    let service = &case.key.endpoint.service;
    let accusation = Accusation::of(case, case.total())
        .weigh(Severity::Low, 5)
        .say(
            format!("{service} answers under a name that is not for production"),
            format!("{calls} accepted calls of {} asked for a host for tests", case.key.caller),
        )
        .fact("calls", calls as f64);
    bench.accuse(accusation);
}

/// The same operation in a newer version of the same service.
fn newer<'a>(cases: &Cases<'a>, case: &Case<'_>) -> Option<Case<'a>> {
    let (before, version, after) = version(&case.key.endpoint.path)?;
    let same = |path: &str| {
        self::version(path).is_some_and(|(b, newer, a)| (b, a) == (before, after) && newer > version)
    };
    let keys = cases.dossiers.iter().filter(|(key, dossier)| {
        key.scope == Scope::Endpoint
            && key.endpoint.service == case.key.endpoint.service
            && key.endpoint.method == case.key.endpoint.method
            && key.endpoint.vantage == case.key.endpoint.vantage
            && dossier.total.with(Outcome::Accepted) > 0
            && same(&key.endpoint.path)
    });
    keys.map(|(key, _)| key).next().and_then(|key| cases.get(key))
}

/// What stands before and behind a version in a path, and its number.
fn version(path: &str) -> Option<(&str, u32, &str)> {
    let mut at = 0;
    for segment in path.split('/') {
        if let Some(number) = segment.strip_prefix('v').and_then(|number| number.parse().ok()) {
            let after = path.get(at + segment.len()..).unwrap_or_default();
            return Some((path.get(..at).unwrap_or_default(), number, after));
        }
        at += segment.len() + 1;
    }
    None
}

pub(crate) fn is_for_tests(host: &str) -> bool {
    let host = host.split(':').next().unwrap_or_default();
    // A single label is no public name, and the last one says nothing.
    let Some((labels, _)) = host.rsplit_once('.') else { return false };
    labels.split(['.', '-']).any(|part| NOT_PRODUCTION.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    #[test]
    fn an_old_version_beside_its_successor() {
        let mut scene = Scene::new();
        (0..4).for_each(|_| scene.get("/api/v1/search", 200));
        scene.nothing("inventory");
        (0..4).for_each(|_| scene.get("/api/v2/search", 200));
        // The newer one is not what is wrong: it is said of the old one with its next call.
        scene.get("/api/v1/search", 200);
        let finding = scene.only("inventory");
        assert_eq!((finding.path.as_str(), finding.facts["old"]), ("/api/v1/search", 5.0));
    }

    #[test]
    fn a_host_for_tests() {
        let mut scene = Scene::new();
        (0..4)
            .for_each(|_| scene.call("GET", "/a", 200, |call| call.host = "staging-api.shop.example".into()));
        assert_eq!(scene.only("inventory").severity, Severity::Low);
    }

    #[test]
    fn near_misses() {
        // A newer version that is not there, another operation, hosts that only sound like it.
        let mut scene = Scene::new();
        for _ in 0..5 {
            scene.get("/api/v1/search", 200);
            scene.get("/api/v2/search", 404);
            scene.get("/api/v2/orders", 200);
            scene.call("GET", "/b", 200, |call| call.host = "latest.shop.example".into());
            scene.call("GET", "/b", 200, |call| call.host = "devices.shop.example".into());
            scene.call("GET", "/b", 200, |call| call.host = "test".into());
        }
        scene.nothing("inventory");
    }
}
