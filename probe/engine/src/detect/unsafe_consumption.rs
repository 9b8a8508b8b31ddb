//! Somebody else's answers that are not what they were: a script, a redirect elsewhere, a flood.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::flow;
use crate::trail::{Mark, Scope};
use apisec_proto::call::Notes;

pub(super) struct UnsafeConsumption;

const ABOUT: About = About {
    id: "unsafe-consumption",
    owasp: "API10:2023",
    cwe: "CWE-20",
    title: "answers of others that are not to be trusted",
    what: "An interface outside, which one of our workloads calls, answers with what a browser would run, sends its caller to another host, or with far more than it ever did.",
    why: "What comes from a partner is believed more than what comes from a user, and passed on.",
    evidence: "Only calls from an inside address to a public one. Markup in documents, redirects to another host; an answer ten times the mean of at least ten before, and 8 KiB at least.",
    remedy: "Check answers against a schema and a size before using them, follow no redirects to other hosts, and tell the partner.",
    bound: "Three counts per actor and endpoint.",
    settings: &[
        Setting { name: "times", default: 10.0, what: "how many times the mean an answer has to be" },
        Setting { name: "bytes", default: 8192.0, what: "least size of an answer that is too large" },
    ],
};

const MARKUP: Mark = Mark::new("unsafe-consumption.markup");
const MOVED: Mark = Mark::new("unsafe-consumption.moved");
const OUTSIDE: Mark = Mark::new("unsafe-consumption.outside");
/// Answers that make a mean worth something.
const ENOUGH: u64 = 10;

impl Detector for UnsafeConsumption {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::PUBLIC
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let call = seen.call;
        if !flow::is_public(call.dst_addr.ip()) || flow::is_public(call.src_addr.ip()) {
            return;
        }
        let Some(trail) = notebook.actor() else { return };
        trail.count(OUTSIDE, 1);
        if call.notes.any(Notes::MARKUP) {
            trail.count(MARKUP, 1);
        }
        if call.notes.any(Notes::REDIRECTED) {
            trail.count(MOVED, 1);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let (times, bytes) = (cases.setting(&ABOUT, "times"), cases.setting(&ABOUT, "bytes"));
        for case in cases.fresh(Scope::Actor).filter(|case| case.total().counted(OUTSIDE) > 0) {
            let trail = case.total();
            let (markup, moved) = (trail.counted(MARKUP), trail.counted(MOVED));
            let before = trail.response_bytes.saturating_sub(trail.largest) as f64;
            let mean = before / trail.calls.saturating_sub(1).max(1) as f64;
            let large =
                trail.calls > ENOUGH && trail.largest as f64 >= bytes && trail.largest as f64 >= times * mean;
            let mut signs = Vec::new();
            if markup > 0 {
                signs.push(format!("{markup} answers hold what a browser would run"));
            }
            if moved > 0 {
                signs.push(format!("{moved} answers send the caller to another host"));
            }
            if large {
                signs.push(format!("an answer of {} bytes, where {mean:.0} are usual", trail.largest));
            }
            if signs.is_empty() {
                continue;
            }
            let severity = if markup > 0 { Severity::High } else { Severity::Medium };
            let accusation = Accusation::of(&case, trail)
                .weigh(severity, 4 + 2 * signs.len() as u8)
                .say(
                    format!("{} outside answers as it should not", case.key.endpoint.service),
                    signs.join("; "),
                )
                .fact("markup", markup as f64)
                .fact("moved", moved as f64)
                .fact("largest", trail.largest as f64)
                .suggest("edge", 0);
            bench.accuse(accusation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    fn outside(scene: &mut Scene, notes: Notes, bytes: u64) {
        scene.from("process:shop:80").to("external:203.0.113.10:80").call("GET", "/rates", 200, |call| {
            call.src_addr = ([10, 0, 0, 7], 5000).into();
            call.dst_addr = ([203, 0, 113, 10], 80).into();
            call.response_bytes = bytes;
            call.notes.add(notes);
        });
    }

    #[test]
    fn a_partner_that_goes_wrong() {
        let mut scene = Scene::new();
        (0..20).for_each(|_| outside(&mut scene, Notes::default(), 300));
        scene.nothing("unsafe-consumption");
        outside(&mut scene, Notes(Notes::MARKUP.0 | Notes::REDIRECTED.0), 40_000);
        let finding = scene.only("unsafe-consumption");
        assert_eq!(finding.severity, Severity::High);
        for sign in ["browser", "another host", "40000 bytes, where 300"] {
            assert!(finding.evidence.contains(sign), "{}", finding.evidence);
        }
    }

    #[test]
    fn near_misses() {
        // Answers that grow a little, a large first answer, and a neighbour that answers with markup.
        let mut scene = Scene::new();
        outside(&mut scene, Notes::default(), 40_000);
        (0..20).for_each(|n| outside(&mut scene, Notes::default(), 9_000 + n * 1_000));
        scene.to("process:cms:80").call("GET", "/page", 200, |call| call.notes.add(Notes::MARKUP));
        scene.nothing("unsafe-consumption");
    }
}
