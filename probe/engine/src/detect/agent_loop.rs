//! An assistant that calls one tool with the same arguments again and again.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, Scope};

pub(super) struct AgentLoop;

const ABOUT: About = About {
    id: "agent-loop",
    owasp: "API4:2023",
    cwe: "CWE-835",
    title: "an agent goes round in circles",
    what: "One tool is called with equal arguments many times within a minute.",
    why: "An agent in a loop costs money with every round, and often it is being made to try until something gives.",
    evidence: "Equal keyed hashes of the arguments among the last calls of one actor; arguments themselves are not kept.",
    remedy: "Stop the agent, limit rounds per task, and look at what made it go on.",
    bound: "The newest 32 calls of a tool per actor.",
    settings: &[
        Setting { name: "calls", default: 10.0, what: "equal calls, at most 32" },
        Setting { name: "window", default: 60.0, what: "seconds" },
    ],
};

const ARGUMENTS: Mark = Mark::new("agent-loop.arguments");

impl Detector for AgentLoop {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::CLUES
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let Some(arguments) = seen.call.clues.as_ref().and_then(|clues| clues.arguments) else { return };
        if let Some(trail) = notebook.actor() {
            trail.moment(ARGUMENTS, seen.call.at, arguments);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let (least, window) = (cases.setting(&ABOUT, "calls") as usize, cases.setting(&ABOUT, "window"));
        for case in cases.fresh(Scope::Actor) {
            let moments = case.total().moments(ARGUMENTS);
            let Some(newest) = moments.last() else { continue };
            let since = newest.at.saturating_sub((window * 1e9) as u64);
            let equal =
                moments.iter().filter(|moment| moment.what == newest.what && moment.at >= since).count();
            if equal < least {
                continue;
            }
            let accusation = Accusation::of(&case, case.total())
                .weigh(Severity::Medium, 8)
                .say(
                    format!("an agent of {} repeats {}", case.key.caller, case.key.endpoint.operation),
                    format!("{equal} of its last {} calls had the same arguments", moments.len()),
                )
                .fact("equal", equal as f64)
                .suggest("rate", 6);
            bench.accuse(accusation);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;
    use apisec_proto::call::Clues;

    fn use_tool(scene: &mut Scene, arguments: u64) {
        scene.user(1).call("POST", "/mcp", 200, |call| {
            call.operation = "tools/call search".into();
            call.clues = Some(Box::new(Clues { arguments: Some(arguments), ..Clues::default() }));
        });
    }

    #[test]
    fn the_same_again_and_again() {
        let mut scene = Scene::new();
        (0..12).for_each(|_| use_tool(&mut scene, 7));
        assert_eq!(scene.only("agent-loop").facts["equal"], 12.0);
    }

    #[test]
    fn near_misses() {
        // Different arguments, and the same ones now and then.
        let mut scene = Scene::new();
        (0..40).for_each(|n| use_tool(&mut scene, n));
        for _ in 0..12 {
            use_tool(&mut scene, 99);
            scene.wait(20);
        }
        scene.nothing("agent-loop");
    }
}
