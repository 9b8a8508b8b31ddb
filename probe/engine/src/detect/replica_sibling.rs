//! One replica does what its siblings do not.

use super::{About, Detector, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::endpoint::is_external;
use crate::family::family;
use crate::finding::Severity;
use crate::trail::{Outcome, Scope};

pub(super) struct ReplicaSibling;

const ABOUT: About = About {
    id: "replica-sibling",
    owasp: "",
    cwe: "CWE-506",
    title: "one replica is not like the others",
    what: "Of several replicas of a workload, one calls a service far more often, or is refused far more often, than the \
           others.",
    why: "Replicas run one program and share its work; the one that differs may have been taken over. This needs no history.",
    evidence: "Calls and refusals along the edge within two minutes against the largest of at least two siblings. One that \
               has only just started, or that stands in for siblings that stopped, is no finding.",
    remedy: "Look at what runs in that replica; replace it and keep it for the examination.",
    bound: "Nothing beyond the sums of every edge.",
    settings: &[
        Setting { name: "times", default: 10.0, what: "how many times the busiest sibling" },
        Setting { name: "calls", default: 100.0, what: "calls, or refused calls, within two minutes" },
    ],
};

impl Detector for ReplicaSibling {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let [times, calls] = ["times", "calls"].map(|name| cases.setting(&ABOUT, name));
        for case in cases.fresh(Scope::Edge) {
            if (case.total().calls as f64) < calls || is_external(&case.key.caller) {
                continue;
            }
            let own = case.dossier.window(120.0);
            let of_family = |other: &crate::case::Case<'_>| {
                let caller = &other.key.caller;
                *caller != case.key.caller && family(caller) == family(&case.key.caller)
            };
            let siblings: Vec<_> = cases
                .edges_to(&case.key.endpoint)
                .filter(of_family)
                .map(|other| other.dossier.window(120.0))
                // Those that stopped do not share the work.
                .filter(|other| own.last.saturating_sub(other.last) < 30_000_000_000)
                .collect();
            if siblings.len() < 2 {
                continue;
            }
            let denied = own.with(Outcome::Denied) + own.with(Outcome::Refused);
            let most = siblings.iter().map(|other| other.calls).max().unwrap_or(0);
            let most_denied = siblings
                .iter()
                .map(|o| o.with(Outcome::Denied) + o.with(Outcome::Refused))
                .max()
                .unwrap_or(0);
            let stands_out =
                |own: u64, most: u64| own as f64 >= calls && own as f64 >= times * most.max(1) as f64;
            let what = match (stands_out(own.calls, most), stands_out(denied, most_denied)) {
                (false, false) => continue,
                (_, true) => {
                    format!("{denied} refused calls, the most of {} siblings {most_denied}", siblings.len())
                }
                _ => format!("{} calls, the most of {} siblings {most}", own.calls, siblings.len()),
            };
            bench.accuse(
                Accusation::of(&case, &own)
                    .weigh(Severity::Medium, 6)
                    .say(
                        "one replica is not like its siblings".to_owned(),
                        format!("{what}, within two minutes"),
                    )
                    .fact("calls", own.calls as f64)
                    .fact("siblings", siblings.len() as f64)
                    .suggest("edge", 0),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;

    #[test]
    fn one_of_three_is_busy() {
        let mut scene = Scene::new();
        for _ in 0..5 {
            scene.from("process:web:81").get("/stock", 200);
            scene.from("process:web:82").get("/stock", 200);
        }
        (0..150).for_each(|_| scene.from("process:web:83").get("/stock", 200));
        assert_eq!(scene.only("replica-sibling").actor, "process:web:83");
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        for _ in 0..150 {
            scene.from("process:web:81").get("/stock", 200);
            scene.from("process:web:82").get("/stock", 200);
            scene.from("process:web:83").get("/stock", 200);
            scene.from("process:batch").get("/stock", 200);
        }
        scene.nothing("replica-sibling");
    }
}
