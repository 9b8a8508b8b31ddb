//! A workload that was never seen there uses an operation whose callers are known.

use super::{About, Detector, Setting};
use crate::case::{Accusation, Bench, Case, Cases};
use crate::endpoint::is_external;
use crate::family::family;
use crate::finding::Severity;
use crate::trail::{Outcome, SENSITIVE, Scope};

pub(super) struct BflaAudience;

const ABOUT: About = About {
    id: "bfla-audience",
    owasp: "API5:2023",
    cwe: "CWE-285",
    title: "a workload uses an operation that is not its own",
    what: "A workload inside calls an operation that, as long as it is known, only others called.",
    why: "Between services hardly anything asks who may do what: whoever took one over uses the operations of all.",
    evidence: "The kinds of callers of the operation, learnt over at least half an hour from callers of whom nothing was \
               found. Replicas of a known caller are no finding, nor is anybody from outside. Administrators' operations, \
               those that change something, and those with sensitive data weigh more; what was refused weighs least.",
    remedy: "If it is meant to be, resolve the finding: it becomes usual. If not, cut the edge and look at the workload.",
    bound: "At most 128 kinds of callers per operation in the baseline.",
    settings: &[Setting { name: "calls", default: 1.0, what: "calls of the operation" }],
};

impl Detector for BflaAudience {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let calls = cases.setting(&ABOUT, "calls");
        for case in cases.fresh(Scope::Actor) {
            if is_external(&case.key.caller) || (case.total().calls as f64) < calls {
                continue;
            }
            accusation(&case, cases).into_iter().for_each(|accusation| bench.accuse(accusation));
        }
    }
}

fn accusation(case: &Case<'_>, cases: &Cases<'_>) -> Option<Accusation> {
    let norm = cases.usual(case)?;
    if norm.callers.is_empty() || norm.callers.contains(family(&case.key.caller)) || case.place().is_health {
        return None;
    }
    let trail = case.total();
    let accepted = trail.with(Outcome::Accepted);
    let reads = matches!(case.key.endpoint.method.as_str(), "GET" | "HEAD" | "OPTIONS");
    let weighs = case.place().is_admin || !reads || trail.counted(SENSITIVE) > 0;
    let severity = if accepted > 0 && weighs { Severity::Medium } else { Severity::Low };
    let known: Vec<&str> = norm.callers.iter().map(String::as_str).take(3).collect();
    let evidence = format!(
        "{accepted} of {} calls accepted; in {} minutes that are known it was called by {} kinds of callers: {}",
        trail.calls,
        norm.minutes,
        norm.callers.len(),
        known.join(", ")
    );
    Some(
        Accusation::of(case, trail)
            .weigh(severity, if accepted > 0 { 6 } else { 4 })
            .say(format!("{} was never seen to use {}", case.key.caller, case.operation()), evidence)
            .fact("minutes_known", f64::from(norm.minutes))
            .fact("accepted", accepted as f64)
            .suggest("edge", 0),
    )
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;

    #[test]
    fn without_a_baseline_nobody_is_a_stranger() {
        // With one: `knowledge/learning/tests.rs`.
        let mut scene = Scene::new();
        scene.from("process:web").post("/orders", 201);
        scene.from("process:reports").post("/orders", 201);
        scene.nothing("bfla-audience");
    }
}
