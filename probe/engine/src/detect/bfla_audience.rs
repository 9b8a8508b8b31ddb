//! A workload that was never seen there uses an operation whose callers are known.

use super::{About, Detector, Setting};
use crate::baseline::OUTSIDE;
use crate::case::{Accusation, Bench, Case, Cases};
use crate::endpoint::EndpointKey;
use crate::finding::Severity;
use crate::load::SECOND;
use crate::trail::{Outcome, SENSITIVE, Scope};
use std::collections::{BTreeMap, HashMap};

pub(super) struct BflaAudience;

const ABOUT: About = About {
    id: "bfla-audience",
    owasp: "API5:2023",
    cwe: "CWE-285",
    title: "a workload uses an operation that is not its own",
    what: "A workload inside calls an operation that, as long as it is known, only others called.",
    why: "Between services hardly anything asks who may do what: whoever took one over uses the operations of all.",
    evidence: "The kinds of callers of the operation, learnt over at least half an hour from callers of whom nothing was \
               found. Before that, for operations that change something, are an administrator's or give sensitive data: those \
               who called it long before the newcomer, in enough calls, all of them inside. Replicas of a known caller are no \
               finding, nor is anybody from outside. What was refused weighs least. Where it is known whose request made the \
               workload call, by trace or path, that is said.",
    remedy: "If it is meant to be, resolve the finding: it becomes usual. If not, cut the edge and look at the workload.",
    bound: "At most 128 kinds of callers per operation in the baseline; before that the trails that there are.",
    settings: &[
        Setting { name: "calls", default: 1.0, what: "calls of the operation" },
        Setting {
            name: "learnt",
            default: 100.0,
            what: "accepted calls of others before a newcomer is one, without a baseline",
        },
        Setting { name: "known", default: 600.0, what: "seconds of them, likewise" },
    ],
};

impl Detector for BflaAudience {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let calls = cases.setting(&ABOUT, "calls");
        let mut audiences = HashMap::new();
        for case in cases.fresh(Scope::Actor) {
            let inside = cases.kinds.is_inside(&case.key.caller);
            if !inside || (case.total().calls as f64) < calls || case.place().is_health {
                continue;
            }
            accusation(&case, cases, &mut audiences)
                .into_iter()
                .for_each(|accusation| bench.accuse(accusation));
        }
    }
}

/// Kinds of callers of an operation: their first call, and how many were accepted.
type Audience<'a> = BTreeMap<&'a str, (u64, u64)>;
/// Made once per judgement: of an operation there may be thousands of trails.
type Audiences<'a> = HashMap<&'a EndpointKey, Audience<'a>>;

fn accusation<'a>(case: &Case<'a>, cases: &Cases<'a>, audiences: &mut Audiences<'a>) -> Option<Accusation> {
    let trail = case.total();
    let accepted = trail.with(Outcome::Accepted);
    let reads = matches!(case.key.endpoint.method.as_str(), "GET" | "HEAD" | "OPTIONS");
    let sensitive = || cases.everybody(case).is_some_and(|all| all.total().counted(SENSITIVE) > 0);
    let weighs = case.place().is_admin || !reads || sensitive();
    let (since, known, sure) = match cases.usual(case).filter(|norm| !norm.callers.is_empty()) {
        Some(norm) if norm.callers.contains(cases.kinds.of(&case.key.caller)) => return None,
        Some(norm) => {
            let known = norm.callers.iter().map(String::as_str).collect();
            (format!("{} minutes that are known", norm.minutes), known, true)
        }
        None if weighs => {
            let (since, known) = newcomer(case, cases, audiences)?;
            (format!("the {:.0} minutes before", since as f64 / 60e9), known, false)
        }
        None => return None,
    };
    let severity = if accepted > 0 && weighs { Severity::Medium } else { Severity::Low };
    let evidence = format!(
        "{accepted} of {} calls accepted; in {since} it was called by {} kinds of callers: {}",
        trail.calls,
        known.len(),
        known.iter().take(3).copied().collect::<Vec<&str>>().join(", ")
    );
    Some(
        Accusation::of(case, trail)
            .weigh(severity, if accepted > 0 && sure { 6 } else { 4 })
            .say(format!("{} was never seen to use {}", case.key.caller, case.operation()), evidence)
            .fact("accepted", accepted as f64)
            .suggest("edge", 0),
    )
}

/// Whether a case is of a kind that came long after others: for how long they had been there (nanoseconds), and who they are.
fn newcomer<'a>(
    case: &Case<'a>,
    cases: &Cases<'a>,
    audiences: &mut Audiences<'a>,
) -> Option<(u64, Vec<&'a str>)> {
    let known = (cases.setting(&ABOUT, "known") * SECOND as f64) as u64;
    let since = cases.everybody(case)?.total().first;
    if case.total().first.saturating_sub(since) < known {
        return None;
    }
    let audience = audiences.entry(&case.key.endpoint).or_insert_with(|| audience(case, cases));
    let (came, _) = *audience.get(cases.kinds.of(&case.key.caller))?;
    let earlier = || audience.iter().filter(|(_, (first, _))| *first < came);
    let calls: u64 = earlier().map(|(_, (_, accepted))| *accepted).sum();
    let public = earlier().any(|(kind, _)| *kind == OUTSIDE);
    let long = came.saturating_sub(since);
    let learnt = calls as f64 >= cases.setting(&ABOUT, "learnt");
    (learnt && !public && long >= known).then(|| (long, earlier().map(|(kind, _)| *kind).collect()))
}

fn audience<'a>(case: &Case<'a>, cases: &Cases<'a>) -> Audience<'a> {
    let mut audience = Audience::new();
    for one in cases.others(case).chain([case.clone()]).filter(|one| one.key.scope == Scope::Actor) {
        let (first, accepted) = audience.entry(cases.kinds.of(&one.key.caller)).or_insert((u64::MAX, 0));
        *first = one.total().first.min(*first);
        *accepted += one.total().with(Outcome::Accepted);
    }
    audience
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;
    use crate::finding::Severity;

    // With a baseline: `knowledge/learning/tests.rs`.
    fn known_callers(scene: &mut Scene, calls: u64) {
        for n in 0..calls {
            scene
                .from(if n % 2 == 0 { "process:web:81" } else { "process:web:82" })
                .user(n % 7)
                .post("/orders", 201);
        }
    }

    #[test]
    fn a_newcomer_after_many_calls_of_others() {
        let mut scene = Scene::new();
        known_callers(&mut scene, 60);
        scene.wait(700);
        known_callers(&mut scene, 60);
        scene.from("process:web:83").user(1).post("/orders", 201);
        scene.nothing("bfla-audience");
        scene.from("process:reports").user(1).post("/orders", 201);
        let finding = scene.only("bfla-audience");
        assert_eq!((finding.actor.as_str(), finding.severity), ("process:reports", Severity::Medium));
        assert!(finding.evidence.contains("process:web"), "{}", finding.evidence);
    }

    #[test]
    fn near_misses() {
        // Soon after, after few calls, where everybody comes, or only to look.
        let mut scene = Scene::new();
        known_callers(&mut scene, 120);
        scene.from("process:reports").user(1).post("/orders", 201);
        scene.nothing("bfla-audience");
        let mut scene = Scene::new();
        known_callers(&mut scene, 20);
        scene.wait(700);
        scene.from("process:reports").user(1).post("/orders", 201);
        scene.nothing("bfla-audience");
        for path in ["/orders", "/stock"] {
            let mut scene = Scene::new();
            (0..120)
                .for_each(|n| scene.from("external:192.0.2.7").user(n % 7).call("POST", path, 201, |_| ()));
            (0..120).for_each(|_| scene.from("process:web:81").get("/stock", 200));
            scene.wait(700);
            scene.from("process:reports").user(1).post("/orders", 201);
            scene.from("process:reports").get("/stock", 200);
            scene.nothing("bfla-audience");
        }
    }
}
