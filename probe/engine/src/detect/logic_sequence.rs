//! A step of a flow without the steps that everybody takes before it.

use super::{About, Detector, Setting};
use crate::baseline::NormKey;
use crate::case::{Accusation, Bench, Case, Cases};
use crate::endpoint::{EndpointKey, Id};
use crate::finding::Severity;
use crate::load::SECOND;
use crate::trail::{Outcome, Scope};
use std::collections::{BTreeMap, HashMap, HashSet};

pub(super) struct LogicSequence;

const ABOUT: About = About {
    id: "logic-sequence",
    owasp: "API6:2023",
    cwe: "CWE-841",
    title: "a step without those before it",
    what: "An identity is accepted at an operation that changes something, and never was where nearly everybody goes before: \
           an order without a cart, a payment without a price.",
    why: "Checks that stand in an earlier step protect nothing when the later one can be called by itself.",
    evidence: "Of many identities that came to the operation, 95 % or more had been accepted at another one of the service \
               before; this one had not, from whichever address. Many are 50 in the baseline, or as many as is set in this \
               run. A missing step that changes something weighs more than one that only looks. Only identities whose first steps can have been seen are judged: those that came long after the first \
               call there.",
    remedy: "Check in the later step that the earlier ones were taken, on the server and not by what the client sends.",
    bound: "At most 128 earlier operations per operation in the baseline; before that the trails that there are.",
    settings: &[
        Setting {
            name: "seen",
            default: 600.0,
            what: "seconds after the first call there before a first step can be missed",
        },
        Setting {
            name: "identities",
            default: 30.0,
            what: "identities that show the usual way, without a baseline",
        },
    ],
};

/// Nanoseconds after its first call in which an identity is compared with those of this run.
const NEW: u64 = 120 * SECOND;
/// Share of the identities that makes a step one of the way.
const NEARLY_ALL: f64 = 0.95;

/// Earlier steps, with the share of the identities that took them.
type Way<'a> = Vec<(&'a str, f64)>;
/// An identity at a service, from wherever.
type Client<'a> = (&'a Id, u64);
/// Where a client was accepted, and when first.
type Steps = HashMap<String, u64>;

impl Detector for LogicSequence {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let seen = (cases.setting(&ABOUT, "seen") * 1e9) as u64;
        let late = |case: &Case<'_>| {
            let first = cases.everybody(case).map_or(u64::MAX, |all| all.total().first);
            case.total().first.saturating_sub(first) >= seen
        };
        let fewest = cases.setting(&ABOUT, "identities") as usize;
        let fresh = cases.fresh(Scope::Actor).filter(|case| is_taken(case) && late(case));
        let wanted: Vec<Case<'_>> = fresh.filter(|case| is_comparable(case, cases, fewest)).collect();
        if wanted.is_empty() {
            return;
        }
        let services: HashSet<&Id> = wanted.iter().map(|case| &case.key.endpoint.service).collect();
        let been = been(&services, cases);
        let mut seen_ways: HashMap<&EndpointKey, Vec<(String, f64)>> = HashMap::new();
        for case in &wanted {
            let way: Way<'_> = match usual_way(case, cases) {
                Some(way) => way,
                None => {
                    let way = seen_ways
                        .entry(&case.key.endpoint)
                        .or_insert_with(|| way_of_others(case, cases, &been, fewest));
                    way.iter().map(|(step, share)| (step.as_str(), *share)).collect()
                }
            };
            let steps = been.get(&client(case));
            let mut missing: Way<'_> = way
                .into_iter()
                .filter(|(step, _)| !steps.is_some_and(|steps| steps.contains_key(*step)))
                .collect();
            // Who did not change what all others changed before says more than who did not look.
            missing.sort_by_key(|(step, _)| is_look(step));
            if let Some((step, share)) = missing.first() {
                bench.accuse(accusation(case, step, *share, missing.len()));
            }
        }
    }
}

/// Somebody was accepted where something is changed.
fn is_taken(case: &Case<'_>) -> bool {
    let writes = matches!(case.key.endpoint.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE");
    case.is_somebody() && writes && case.total().with(Outcome::Accepted) > 0
}

fn is_comparable(case: &Case<'_>, cases: &Cases<'_>, fewest: usize) -> bool {
    let is_new = || cases.now.saturating_sub(case.total().first) < NEW;
    usual_way(case, cases).is_some_and(|way| !way.is_empty())
        || (is_new() && cases.others(case).take(fewest).count() >= fewest)
}

fn usual_way<'a>(case: &Case<'_>, cases: &Cases<'a>) -> Option<Way<'a>> {
    let way: Way<'a> = cases.usual(case)?.way().collect();
    (!way.is_empty()).then_some(way)
}

/// The steps that nearly all of the others took before they came here, in this run.
fn way_of_others(
    case: &Case<'_>,
    cases: &Cases<'_>,
    been: &HashMap<Client<'_>, Steps>,
    fewest: usize,
) -> Vec<(String, f64)> {
    let here = NormKey::of(&case.key.endpoint, &case.path).step();
    let others: HashSet<u64> = cases
        .others(case)
        .filter(is_taken)
        .map(|other| other.key.actor)
        .filter(|actor| *actor != case.key.actor)
        .collect();
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for steps in others.iter().filter_map(|actor| been.get(&(&case.key.endpoint.service, *actor))) {
        let came = steps.get(&here).copied().unwrap_or(0);
        steps
            .iter()
            .filter(|(_, first)| **first < came)
            .for_each(|(step, _)| *taken.entry(step).or_default() += 1);
    }
    let all = others.len();
    let share = |taken: usize| taken as f64 / all.max(1) as f64;
    let way = taken.into_iter().map(|(step, taken)| (step.to_owned(), share(taken)));
    way.filter(|(_, share)| all >= fewest && *share >= NEARLY_ALL).collect()
}

const fn client<'a>(case: &Case<'a>) -> Client<'a> {
    (&case.key.endpoint.service, case.key.actor)
}

/// Where the clients of these services were accepted at all.
fn been<'a>(services: &HashSet<&'a Id>, cases: &Cases<'a>) -> HashMap<Client<'a>, Steps> {
    let mut been: HashMap<Client<'a>, Steps> = HashMap::new();
    let there = |case: &Case<'_>| case.is_somebody() && services.contains(&case.key.endpoint.service);
    for case in cases.all(Scope::Actor).filter(|case| there(case) && case.total().with(Outcome::Accepted) > 0)
    {
        let first = case.total().first;
        let step = NormKey::of(&case.key.endpoint, &case.path).step();
        let known = been.entry(client(&case)).or_default().entry(step).or_insert(first);
        *known = first.min(*known);
    }
    been
}

fn is_look(step: &str) -> bool {
    ["GET ", "HEAD ", "OPTIONS "].iter().any(|method| step.starts_with(method))
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
        .weigh(if is_look(step) { Severity::Low } else { Severity::Medium }, 5)
        .say(format!("{} is reached without the steps before it", case.operation()), evidence)
        .fact("share_of_others", share)
        .fact("missing", missing as f64)
        .suggest("identity", 0)
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        customers(&mut scene, 60);
        scene.user(99).post("/orders", 201);
        scene.nothing("logic-sequence");
        // Long after, but few have shown the way.
        let mut scene = Scene::new();
        customers(&mut scene, 20);
        scene.wait(700);
        scene.user(99).post("/orders", 201);
        scene.nothing("logic-sequence");
    }

    // With a baseline: `knowledge/learning/tests.rs`.
    fn customers(scene: &mut Scene, count: u64) {
        (0..count).for_each(|user| {
            scene.user(user).get("/cart", 200);
            scene.post("/orders", 201);
        });
    }

    #[test]
    fn an_order_without_a_cart_in_the_same_run() {
        let mut scene = Scene::new();
        customers(&mut scene, 40);
        scene.wait(700);
        // Whoever fills the cart at home and pays on the way is one person.
        scene.user(98).get("/cart", 200);
        scene.from("external:192.0.2.99").user(98).post("/orders", 201);
        scene.nothing("logic-sequence");
        scene.user(99).post("/orders", 201);
        let finding = scene.only("logic-sequence");
        assert!(finding.evidence.contains("without GET /cart"), "{}", finding.evidence);
    }
}
