//! Somebody asks a GraphQL server for its schema.

use super::{About, Cues, Detector, Notebook, Seen};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Scope, Tries};
use apisec_proto::call::Notes;

pub(super) struct GraphqlIntrospection;

const ABOUT: About = About {
    id: "graphql-introspection",
    owasp: "API8:2023",
    cwe: "CWE-200",
    title: "the schema of a GraphQL server is shown",
    what: "A document asks for `__schema` or `__type`, and is answered.",
    why: "The schema lists every operation and field, also those that no client uses: it is the map for everything that follows.",
    evidence: "The operation is recognised in the document; `__typename` alone, which clients add to every query, is not one.",
    remedy: "Switch introspection off in production, or ask for a right to it.",
    bound: "Two counts per actor and endpoint.",
    settings: &[],
};

const TRIES: Tries = Tries::new("graphql-introspection.seen", "graphql-introspection.accepted");

impl Detector for GraphqlIntrospection {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::NOTES
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if seen.call.notes.any(Notes::INTROSPECTION)
            && let Some(trail) = notebook.actor()
        {
            TRIES.note(trail, seen.outcome);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        for case in cases.fresh(Scope::Actor) {
            let Some((tried, accepted)) = TRIES.of(case.total()) else { continue };
            let severity = if accepted > 0 { Severity::Medium } else { Severity::Low };
            let accusation = Accusation::of(&case, case.total())
                .weigh(severity, 8)
                .say(
                    format!("{} asks for the schema of {}", case.key.caller, case.key.endpoint.service),
                    format!("{tried} documents asked for the schema, {accepted} were answered"),
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
        scene.user(1).call("POST", "/graphql", 200, |call| call.notes.add(Notes::INTROSPECTION));
        assert_eq!(scene.only("graphql-introspection").severity, Severity::Medium);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        scene.user(1).post("/graphql", 200);
        scene.nothing("graphql-introspection");
    }
}
