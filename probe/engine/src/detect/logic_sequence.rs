//! A step of a flow without the steps that everybody takes before it.

use super::{About, Detector, Setting};
use crate::baseline::NormKey;
use crate::case::{Accusation, Bench, Case, Cases};
use crate::endpoint::Id;
use crate::finding::Severity;
use crate::trail::{Outcome, Scope};
use std::collections::{HashMap, HashSet};

pub(super) struct LogicSequence;

const ABOUT: About = About {
    id: "logic-sequence",
    owasp: "API6:2023",
    cwe: "CWE-841",
    title: "a step without those before it",
    what: "An identity is accepted at an operation that changes something, and never was where nearly everybody goes before: \
           an order without a cart, a payment without a price.",
    why: "Checks that stand in an earlier step protect nothing when the later one can be called by itself.",
    evidence: "Of at least 50 identities that came to the operation, 95 % or more had been accepted at another one of the \
               service before; this one had not. Only identities whose first steps can have been seen are judged: those \
               that came long after the first call there.",
    remedy: "Check in the later step that the earlier ones were taken, on the server and not by what the client sends.",
    bound: "At most 128 earlier operations per operation in the baseline.",
    settings: &[Setting {
        name: "seen",
        default: 600.0,
        what: "seconds after the first call there before a first step can be missed",
    }],
};

impl Detector for LogicSequence {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let seen = (cases.setting(&ABOUT, "seen") * 1e9) as u64;
        let writes = |case: &Case<'_>| {
            matches!(case.key.endpoint.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE")
        };
        let late = |case: &Case<'_>| {
            let first = cases.everybody(case).map_or(u64::MAX, |all| all.total().first);
            case.total().first.saturating_sub(first) >= seen
        };
        let wanted: Vec<(Case<'_>, Vec<(&str, f64)>)> = cases
            .fresh(Scope::Actor)
            .filter(|case| case.is_somebody() && writes(case) && case.total().with(Outcome::Accepted) > 0)
            .filter_map(|case| {
                let way: Vec<_> = cases.usual(&case)?.way().collect();
                (!way.is_empty() && late(&case)).then_some((case, way))
            })
            .collect();
        if wanted.is_empty() {
            return;
        }
        let been = been(&wanted, cases);
        for (case, way) in &wanted {
            let steps = been.get(&client(case));
            let missing: Vec<&(&str, f64)> =
                way.iter().filter(|(step, _)| !steps.is_some_and(|steps| steps.contains(*step))).collect();
            if let Some((step, share)) = missing.first() {
                bench.accuse(accusation(case, step, *share, missing.len()));
            }
        }
    }
}

type Client<'a> = (&'a Id, &'a Id, u64);

fn client<'a>(case: &Case<'a>) -> Client<'a> {
    (&case.key.endpoint.service, &case.key.caller, case.key.actor)
}

/// Where these clients were accepted at all.
fn been<'a>(
    wanted: &[(Case<'a>, Vec<(&str, f64)>)],
    cases: &Cases<'a>,
) -> HashMap<Client<'a>, HashSet<String>> {
    let mut been: HashMap<Client<'a>, HashSet<String>> =
        wanted.iter().map(|(case, _)| (client(case), HashSet::new())).collect();
    for case in cases.all(Scope::Actor).filter(|case| case.total().with(Outcome::Accepted) > 0) {
        if let Some(steps) = been.get_mut(&client(&case)) {
            steps.insert(NormKey::of(&case.key.endpoint, &case.path).step());
        }
    }
    been
}

fn accusation(case: &Case<'_>, step: &str, share: f64, missing: usize) -> Accusation {
    let trail = case.total();
    let more = if missing > 1 { format!(" and {} others", missing - 1) } else { String::new() };
    let evidence = format!(
        "{} accepted calls without {step}{more}, where {:.0} % of all identities had been before",
        trail.with(Outcome::Accepted),
        share * 100.0
    );
    Accusation::of(case, trail)
        .weigh(Severity::Medium, 5)
        .say(format!("{} is reached without the steps before it", case.operation()), evidence)
        .fact("share_of_others", share)
        .fact("missing", missing as f64)
        .suggest("identity", 0)
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;

    #[test]
    fn without_a_baseline_no_way_is_the_usual_one() {
        // With one: `knowledge/learning/tests.rs`.
        let mut scene = Scene::new();
        (0..60).for_each(|user| {
            scene.user(user).get("/cart", 200);
            scene.post("/orders", 201);
        });
        scene.user(99).post("/orders", 201);
        scene.nothing("logic-sequence");
    }
}
