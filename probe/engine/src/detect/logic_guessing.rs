//! Short secrets tried one after the other: vouchers, one-time codes.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::flow;
use crate::trail::{Mark, Outcome, Scope};

pub(super) struct LogicGuessing;

const ABOUT: About = About {
    id: "logic-guessing",
    owasp: "API6:2023",
    cwe: "CWE-799",
    title: "codes are being guessed",
    what: "One caller tries many different codes where a voucher is redeemed or a code is verified.",
    why: "Codes are short, and a server that does not count lets anybody find those that are worth something.",
    evidence: "Distinct keyed hashes of what was sent to an operation whose path speaks of codes, per caller within a window; codes themselves are not kept.",
    remedy: "Count tries per account and machine, make codes longer, and void those that were found.",
    bound: "Two distinct counts per actor and endpoint.",
    settings: &[
        Setting { name: "codes", default: 15.0, what: "different codes within the window" },
        Setting { name: "window", default: 120.0, what: "seconds, at most 120" },
    ],
};

const TRIED: Mark = Mark::new("logic-guessing.tried");
const FOUND: Mark = Mark::new("logic-guessing.found");

impl Detector for LogicGuessing {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::CLUES
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let Some(guess) = seen.call.clues.as_ref().and_then(|clues| clues.guess) else { return };
        if let Some(trail) = notebook.actor() {
            trail.insert(TRIED, guess);
            if seen.outcome == Outcome::Accepted {
                trail.insert(FOUND, guess);
            }
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let (codes, window) = (cases.setting(&ABOUT, "codes") as u64, cases.setting(&ABOUT, "window"));
        for case in cases.fresh(Scope::Actor).filter(|case| case.total().distinct(TRIED) >= codes) {
            let recent = case.dossier.window(window);
            let (tried, found) = (recent.distinct(TRIED), recent.distinct(FOUND));
            // Many that are all right are a busy counter, not a guesser.
            if tried < codes || found * 2 > tried || flow::is_relay(cases, &case) {
                continue;
            }
            let severity = if found > 0 { Severity::High } else { Severity::Medium };
            let accusation = Accusation::of(&case, &recent)
                .weigh(severity, 7)
                .say(
                    format!("one caller tries {tried} codes at {}", case.operation()),
                    format!("{tried} different codes in {window:.0} s, {found} of them were right"),
                )
                .fact("tried", tried as f64)
                .fact("found", found as f64)
                .suggest("identity", 0);
            bench.accuse(accusation);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;
    use crate::finding::Severity;
    use apisec_proto::call::Clues;

    fn redeem(scene: &mut Scene, code: u64, status: u16) {
        scene.user(1).call("POST", "/voucher", status, |call| {
            call.clues = Some(Box::new(Clues { guess: Some(code), ..Clues::default() }));
        });
    }

    #[test]
    fn one_code_after_the_other() {
        let mut scene = Scene::new();
        (0..20).for_each(|code| {
            redeem(&mut scene, crate::fingerprint::of(&[code]), if code == 7 { 200 } else { 404 });
        });
        let finding = scene.only("logic-guessing");
        assert_eq!((finding.severity, finding.facts["found"]), (Severity::High, 1.0));
    }

    #[test]
    fn near_misses() {
        // The same code again and again, and a counter where all codes are right.
        let mut scene = Scene::new();
        (0..40).for_each(|_| redeem(&mut scene, 1, 404));
        (0..40).for_each(|code| redeem(&mut scene, crate::fingerprint::of(&[code]), 200));
        scene.nothing("logic-guessing");
    }
}
