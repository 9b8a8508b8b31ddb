//! One GraphQL document that asks for more than any screen shows, or tries many things at once.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, Scope};

pub(super) struct GraphqlCost;

const ABOUT: About = About {
    id: "graphql-cost",
    owasp: "API4:2023",
    cwe: "CWE-770",
    title: "a GraphQL document that costs too much",
    what: "A document is deeper, has more aliases, or a request more operations, than a client needs.",
    why: "One request does the work of thousands, or tries hundreds of passwords under as many aliases where a limit counts requests.",
    evidence: "Depth, aliases and operations as read from the document, against limits that are far above those of applications.",
    remedy: "Limit depth, aliases and batches in the server, and count operations instead of requests.",
    bound: "Three counts and the largest of each in 32 moments per actor and endpoint.",
    settings: &[
        Setting { name: "depth", default: 15.0, what: "deepest nesting of fields" },
        Setting { name: "aliases", default: 15.0, what: "aliases in one document" },
        Setting { name: "batch", default: 10.0, what: "operations in one request" },
    ],
};

const COSTLY: Mark = Mark::new("graphql-cost.costly");
const ACCEPTED: Mark = Mark::new("graphql-cost.accepted");
/// What is worth noting at all; the settings may only be stricter than nothing.
const NOTED: [u16; 3] = [6, 6, 4];

impl Detector for GraphqlCost {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::GRAPHQL
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let Some(cost) = &seen.call.graphql else { return };
        let sizes = [cost.depth, cost.aliases, cost.batch];
        if sizes.iter().zip(NOTED).all(|(size, noted)| *size < noted) {
            return;
        }
        if let Some(trail) = notebook.actor() {
            let packed = sizes.iter().fold(0_u64, |packed, size| packed << 16 | u64::from(*size));
            trail.moment(COSTLY, seen.call.at, packed);
            trail.count(ACCEPTED, u64::from(seen.outcome == Outcome::Accepted));
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let limits = ["depth", "aliases", "batch"].map(|name| cases.setting(&ABOUT, name));
        for case in cases.fresh(Scope::Actor) {
            let noted = case.total().moments(COSTLY);
            let largest = noted.iter().fold([0_u64; 3], |largest, moment| {
                let sizes = [moment.what >> 32, moment.what >> 16 & 0xffff, moment.what & 0xffff];
                std::array::from_fn(|at| {
                    largest.get(at).copied().unwrap_or(0).max(sizes.get(at).copied().unwrap_or(0))
                })
            });
            if largest.iter().zip(limits).all(|(size, limit)| (*size as f64) < limit) {
                continue;
            }
            let [depth, aliases, batch] = largest;
            let accepted = case.total().counted(ACCEPTED);
            let severity = if accepted > 0 { Severity::High } else { Severity::Low };
            let accusation = Accusation::of(&case, case.total())
                .weigh(severity, 7)
                .say(
                    format!("{} sends {} what no screen needs", case.key.caller, case.operation()),
                    format!("up to {depth} levels, {aliases} aliases, {batch} operations in one request; {accepted} answered"),
                )
                .fact("depth", depth as f64)
                .fact("aliases", aliases as f64)
                .fact("batch", batch as f64)
                .suggest("identity", 0);
            bench.accuse(accusation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;
    use apisec_proto::call::GraphqlCost as Cost;

    fn asked(scene: &mut Scene, cost: Cost) {
        scene.user(1).call("POST", "/graphql", 200, |call| call.graphql = Some(Box::new(cost)));
    }

    #[test]
    fn many_tries_in_one_document() {
        let mut scene = Scene::new();
        asked(&mut scene, Cost { aliases: 60, depth: 2, tokens: 900, batch: 1 });
        let finding = scene.only("graphql-cost");
        assert_eq!((finding.severity, finding.facts["aliases"]), (Severity::High, 60.0));
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        asked(&mut scene, Cost { aliases: 14, depth: 14, tokens: 3_000, batch: 9 });
        scene.nothing("graphql-cost");
    }
}
