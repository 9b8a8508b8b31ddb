//! A program that takes everything along that is shown to everybody.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::flow;
use crate::trail::{Mark, NOBODY, Outcome, Scope};

pub(super) struct LogicScraping;

const ABOUT: About = About {
    id: "logic-scraping",
    owasp: "API6:2023",
    cwe: "CWE-799",
    title: "everything is being copied",
    what: "One caller without a name of its own reads a large part of what is public, one after the other, at the pace of a program.",
    why: "Prices, texts and stock are worth something to others, and the copying costs more than all customers together.",
    evidence: "Distinct objects of an endpoint per caller within a window, against the median of others, and the spread of the pauses: only both together. Crawlers that keep a limit stay below it.",
    remedy: "Limit reads per machine, and offer those who may copy a way of their own.",
    bound: "The times of 32 calls per anonymous actor and endpoint.",
    settings: &[
        Setting { name: "objects", default: 60.0, what: "distinct objects within the window" },
        Setting { name: "window", default: 60.0, what: "seconds, at most 120" },
        Setting {
            name: "spread",
            default: 0.35,
            what: "of pauses that look like a program: deviation over mean",
        },
        Setting { name: "times", default: 5.0, what: "how many times the median of the others" },
    ],
};

const READ: Mark = Mark::new("logic-scraping.read");

impl Detector for LogicScraping {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::NAMELESS_READ
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let anonymous = seen.call.identity.is_none();
        if anonymous
            && !seen.values.is_empty()
            && seen.call.method == "GET"
            && seen.outcome == Outcome::Accepted
            && let Some(trail) = notebook.actor()
        {
            trail.moment(READ, seen.call.at, seen.call.at);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let [objects, window, most, times] =
            ["objects", "window", "spread", "times"].map(|name| cases.setting(&ABOUT, name));
        for case in cases.fresh(Scope::Actor).filter(|case| case.key.actor == NOBODY) {
            if (case.total().objects.count() as f64) < objects {
                continue;
            }
            let recent = case.dossier.window(window);
            let read = recent.objects.count();
            let Some(spread) = flow::spread(recent.moments(READ)) else { continue };
            let mut others: Vec<u64> =
                cases.others(&case).map(|other| other.dossier.window(window).objects.count()).collect();
            others.sort_unstable();
            let median = others.get(others.len() / 2).copied().unwrap_or(0);
            let many = read as f64 >= objects && read as f64 >= times * median as f64;
            if !many || spread > most || flow::is_relay(cases, &case) {
                continue;
            }
            let accusation = Accusation::of(&case, &recent)
                .weigh(Severity::Medium, 5 + u8::from(others.len() >= 3) * 2)
                .say(
                    format!("{} copies {}", case.key.caller, case.operation()),
                    format!(
                        "{read} different objects in {window:.0} s, median of {} others {median}; pauses differ by {:.0} %",
                        others.len(),
                        spread * 100.0
                    ),
                )
                .fact("objects", read as f64)
                .fact("spread", spread)
                .suggest("rate", 30);
            bench.accuse(accusation);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;

    #[test]
    fn everything_one_after_the_other() {
        let mut scene = Scene::new();
        scene.pace = 100_000_000;
        (0..80).for_each(|product| scene.anonymous().get(&format!("/products/{product}"), 200));
        assert!((70.0..90.0).contains(&scene.only("logic-scraping").facts["objects"]));
    }

    #[test]
    fn near_misses() {
        // A crawler that keeps a limit; somebody who reads as much, but as people do; somebody with a name.
        let mut scene = Scene::new();
        scene.pace = 2_000_000_000;
        (0..90).for_each(|product| scene.anonymous().get(&format!("/products/{product}"), 200));
        scene.from("external:192.0.2.8");
        for product in 0_u64..80 {
            scene.pace = 50_000_000 + (product * product * 7 % 13) * 100_000_000;
            scene.anonymous().get(&format!("/products/{product}"), 200);
        }
        scene.pace = 100_000_000;
        (0..80).for_each(|product| scene.user(1).get(&format!("/products/{product}"), 200));
        scene.nothing("logic-scraping");
    }
}
