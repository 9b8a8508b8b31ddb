//! Amounts that make no sense, and prices that the client should not name.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, Scope};
use apisec_proto::call::Notes;

pub(super) struct LogicValue;

const ABOUT: About = About {
    id: "logic-value",
    owasp: "API6:2023",
    cwe: "CWE-840",
    title: "amounts of the client's own choice",
    what: "A request names less than nothing of something, or a price that other clients leave to the server, and is accepted.",
    why: "The server calculates with what it is told: the difference is money.",
    evidence: "Keys and signs in documents, no amounts. A price counts only where nine of ten accepted calls of others name none.",
    remedy: "Take prices from the catalogue, refuse amounts out of range, and look at the orders of this account.",
    bound: "Three counts per actor and endpoint.",
    settings: &[
        Setting {
            name: "usual",
            default: 0.1,
            what: "share of calls that may name a price where that is usual",
        },
        Setting { name: "calls", default: 10.0, what: "accepted calls of others that make the usual known" },
    ],
};

const NEGATIVE: Mark = Mark::new("logic-value.negative");
const PRICED: Mark = Mark::new("logic-value.priced");

impl Detector for LogicValue {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::NOTES
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let notes = seen.call.notes;
        if notes.any(Notes(Notes::NEGATIVE_AMOUNT.0 | Notes::NAMES_PRICE.0))
            && seen.outcome == Outcome::Accepted
            && let Some(trail) = notebook.actor()
        {
            trail.count(NEGATIVE, u64::from(notes.any(Notes::NEGATIVE_AMOUNT)));
            trail.count(PRICED, u64::from(notes.any(Notes::NAMES_PRICE)));
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let (usual, calls) = (cases.setting(&ABOUT, "usual"), cases.setting(&ABOUT, "calls") as u64);
        for case in cases.fresh(Scope::Actor) {
            let (negative, priced) = (case.total().counted(NEGATIVE), case.total().counted(PRICED));
            if negative == 0 && priced == 0 {
                continue;
            }
            let (others, of_others) = cases.others(&case).fold((0_u64, 0_u64), |(calls, priced), other| {
                (calls + other.total().with(Outcome::Accepted), priced + other.total().counted(PRICED))
            });
            let unusual = priced > 0 && others >= calls && of_others as f64 <= usual * others as f64;
            if negative == 0 && !unusual {
                continue;
            }
            let mut signs = Vec::new();
            if negative > 0 {
                signs.push(format!("{negative} accepted calls name an amount below nothing"));
            }
            if unusual {
                signs.push(format!("{priced} name a price, as {of_others} of {others} calls of others do"));
            }
            let accusation = Accusation::of(&case, case.total())
                .weigh(Severity::High, if negative > 0 { 8 } else { 6 })
                .say(
                    format!("amounts of the client's choice are accepted by {}", case.operation()),
                    signs.join("; "),
                )
                .fact("negative", negative as f64)
                .fact("priced", priced as f64)
                .suggest("identity", 0);
            bench.accuse(accusation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    fn put(scene: &mut Scene, user: u64, status: u16, notes: Notes) {
        scene.user(user).call("PUT", "/cart/items", status, |call| call.notes.add(notes));
    }

    #[test]
    fn less_than_nothing_and_a_price_of_ones_own() {
        let mut scene = Scene::new();
        put(&mut scene, 1, 200, Notes::NEGATIVE_AMOUNT);
        assert_eq!(scene.only("logic-value").severity, Severity::High);
        let mut scene = Scene::new();
        (0..20).for_each(|_| put(&mut scene, 1, 200, Notes::default()));
        put(&mut scene, 2, 200, Notes::NAMES_PRICE);
        let finding = scene.only("logic-value");
        assert!(finding.evidence.contains("0 of 20 calls of others"), "{}", finding.evidence);
    }

    #[test]
    fn near_misses() {
        // Refused, usual there, and too early to know.
        let mut scene = Scene::new();
        put(&mut scene, 1, 422, Notes::NEGATIVE_AMOUNT);
        put(&mut scene, 2, 200, Notes::NAMES_PRICE);
        (0..20).for_each(|_| put(&mut scene, 3, 200, Notes::NAMES_PRICE));
        scene.nothing("logic-value");
    }
}
