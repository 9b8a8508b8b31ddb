//! More calls, bytes or work than anybody else asks for, and nobody says stop.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Case, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, Scope};

pub(super) struct Consumption;

const ABOUT: About = About {
    id: "consumption",
    owasp: "API4:2023",
    cwe: "CWE-770",
    title: "more than anybody needs",
    what: "One caller takes many times the calls or bytes of the others at an operation, without being limited (429).",
    why: "Whoever may ask for everything at any rate takes the service away from the others, or runs up its bill.",
    evidence: "Calls and bytes of an actor within a window against the median of the others there; the largest answer. \
               It is high only when the service began to fail under it, or when the bytes are extreme.",
    remedy: "Limit calls and page sizes per client; answer 429 with Retry-After; limit this caller meanwhile.",
    bound: "Sums that every trail holds, and one count.",
    settings: &[
        Setting { name: "calls", default: 600.0, what: "calls within the window" },
        Setting { name: "megabytes", default: 100.0, what: "megabytes of answers within the window" },
        Setting { name: "times", default: 10.0, what: "how many times the median of the others" },
        Setting { name: "window", default: 60.0, what: "seconds, at most 120" },
        Setting {
            name: "above_usual",
            default: 5.0,
            what: "how many times what is usual there, once that is known: instead of calls and megabytes, at least a tenth of them",
        },
    ],
};

const LIMITED: Mark = Mark::new("consumption.limited");
/// Share of failures from which on a service suffers.
const SUFFERS: f64 = 0.1;

impl Detector for Consumption {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::LIMITED
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if seen.call.status == Some(429)
            && let Some(trail) = notebook.actor()
        {
            trail.count(LIMITED, 1);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let [calls, megabytes, times, window, above] =
            ["calls", "megabytes", "times", "window", "above_usual"].map(|name| cases.setting(&ABOUT, name));
        for case in cases.fresh(Scope::Actor) {
            let total = case.total();
            let norm = cases.usual(&case);
            let minutes = window / 60.0;
            let (calls, megabytes) = norm.map_or((calls, megabytes), |norm| {
                let beyond = |usual: u64| above * usual as f64 * minutes;
                (
                    beyond(norm.calls.usual_most()).max(calls / 10.0),
                    (beyond(norm.bytes.usual_most()) / 1e6).max(megabytes / 10.0),
                )
            });
            let much = |calls_: u64, bytes: u64| (calls_ as f64 >= calls, bytes as f64 / 1e6 >= megabytes);
            if much(total.calls, total.response_bytes) == (false, false) || is_proxy(&case) {
                continue;
            }
            let trail = case.dossier.window(window);
            let (many, large) = much(trail.calls, trail.response_bytes);
            let limited = trail.counted(LIMITED);
            // Somebody is there who says stop.
            if !(many || large) || limited * 10 > trail.calls || case.place().is_health {
                continue;
            }
            let rates: Vec<(u64, u64)> = cases
                .others(&case)
                .map(|other| other.dossier.window(window))
                .map(|other| (other.calls, other.response_bytes))
                .collect();
            let median = |part: fn(&(u64, u64)) -> u64| {
                let mut all: Vec<u64> = rates.iter().map(part).collect();
                all.sort_unstable();
                all.get(all.len() / 2).copied().unwrap_or(0)
            };
            let (usual, usual_bytes) = (median(|rate| rate.0), median(|rate| rate.1));
            let stands_out = |own: u64, usual: u64| own as f64 >= times * usual as f64;
            let (many, large) = (
                many && stands_out(trail.calls, usual),
                large && stands_out(trail.response_bytes, usual_bytes),
            );
            if !many && !large {
                continue;
            }
            let failed = trail.with(Outcome::Failed) as f64 / trail.calls.max(1) as f64;
            let latency = trail.busy / trail.calls.max(1) / 1_000;
            let slows = norm
                .is_some_and(|norm| latency as f64 >= above * norm.latency.usual_most().max(1_000) as f64);
            let suffers = failed >= SUFFERS || slows || trail.response_bytes as f64 / 1e6 >= 10.0 * megabytes;
            let usually = norm.map_or_else(String::new, |norm| {
                format!(
                    "; usually at most {} calls and {:.1} MB a minute ({} minutes known)",
                    norm.calls.usual_most(),
                    norm.bytes.usual_most() as f64 / 1e6,
                    norm.minutes
                )
            });
            let points = 4 + u8::from(rates.len() >= 3 || norm.is_some()) * 2 + u8::from(suffers) * 2;
            let evidence = format!(
                "{} calls and {:.1} MB in {:.0} s, largest answer {:.1} MB; median of {} others {usual} calls and \
                 {:.1} MB; {limited} times told to slow down; {:.0} % failed{usually}",
                trail.calls,
                trail.response_bytes as f64 / 1e6,
                trail.last.saturating_sub(trail.first) as f64 / 1e9,
                trail.largest as f64 / 1e6,
                rates.len(),
                usual_bytes as f64 / 1e6,
                failed * 100.0
            );
            bench.accuse(
                Accusation::of(&case, &trail)
                    .weigh(if suffers { Severity::High } else { Severity::Medium }, points)
                    .say(format!("one caller takes far more than others of {}", case.operation()), evidence)
                    .fact("calls", trail.calls as f64)
                    .fact("bytes", trail.response_bytes as f64)
                    .fact("median_of_others", usual as f64)
                    .suggest("rate", usual.max(60) * 2),
            );
        }
    }
}

/// Whether the trail is that of many: those that did not fit.
fn is_proxy(case: &Case<'_>) -> bool {
    case.key.actor == crate::trail::CROWD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    fn everybody_else(scene: &mut Scene) {
        (0..8).for_each(|user| (0..5).for_each(|_| scene.user(user).get("/products", 200)));
    }

    #[test]
    fn far_more_than_the_others() {
        let mut scene = Scene::new();
        everybody_else(&mut scene);
        (0..700).for_each(|_| scene.user(99).get("/products", 200));
        let finding = scene.only("consumption");
        assert_eq!((finding.severity, finding.facts["median_of_others"]), (Severity::Medium, 5.0));
        (0..200).for_each(|_| scene.user(99).get("/products", 503));
        assert_eq!(scene.only("consumption").severity, Severity::High);
    }

    #[test]
    fn large_answers_count_too() {
        let mut scene = Scene::new();
        everybody_else(&mut scene);
        let large = |call: &mut apisec_proto::call::Call| call.response_bytes = 30_000_000;
        (0..5).for_each(|_| scene.user(99).call("GET", "/products", 200, large));
        assert_eq!(scene.only("consumption").severity, Severity::Medium);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        // Everybody is busy; somebody is told to slow down; a probe asks whether all is well.
        (0..4).for_each(|user| (0..700).for_each(|_| scene.user(user).get("/busy", 200)));
        (0..700).for_each(|n| scene.user(99).get("/limited", if n % 3 == 0 { 429 } else { 200 }));
        (0..700).for_each(|_| scene.anonymous().get("/health", 200));
        (0..500).for_each(|_| scene.user(98).get("/products", 200));
        let found: Vec<String> = scene.found("consumption").into_iter().map(|finding| finding.path).collect();
        assert!(found.iter().all(|path| path == "/busy") && found.len() <= 1, "{found:?}");
    }
}
