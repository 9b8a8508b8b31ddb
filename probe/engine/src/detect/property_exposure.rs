//! Answers that say more than anybody needs.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::endpoint::is_external;
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, SENSITIVE, Scope};
use apisec_proto::body::Body;
use apisec_proto::body::shape::Place as Property;
use apisec_proto::sensitive::Sensitive;

pub(super) struct PropertyExposure;

const ABOUT: About = About {
    id: "property-exposure",
    owasp: "API3:2023",
    cwe: "CWE-213",
    title: "answers that say too much",
    what: "Answers hold what no caller should be given: numbers of cards, accounts and persons, private keys, hashes of \
           passwords.",
    why: "That the page does not show it helps nobody: whoever calls the operation itself reads it.",
    evidence: "Sensitive classes and the names of properties in the answers whose bodies were read; the value is never \
               kept. How many were read is said. Operations by which one gets in are no finding.",
    remedy: "Give out a list of properties that is written down, not the whole record; mask numbers to their last digits.",
    bound: "Two counts and one moment per actor and endpoint.",
    settings: &[Setting { name: "answers", default: 3.0, what: "answers of one operation" }],
};

/// Classes that hardly any caller needs.
const CLASSES: [Sensitive; 4] =
    [Sensitive::Card, Sensitive::Iban, Sensitive::NationalId, Sensitive::PrivateKey];
/// Parts of names of properties that hold what nobody needs.
const NAMES: [&str; 9] =
    ["password", "passwd", "pwd_hash", "pw_hash", "secret", "private_key", "card_number", "cvv", "ssn"];

const EXPOSED: Mark = Mark::new("property-exposure.exposed");
const WHAT: Mark = Mark::new("property-exposure.what");

impl Detector for PropertyExposure {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::ANSWER
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let Some(bodies) = seen.call.bodies.as_deref() else { return };
        let Some(answer) = bodies.response.as_ref() else { return };
        if seen.outcome != Outcome::Accepted || seen.place.is_login {
            return;
        }
        let what = exposed(answer);
        if what != 0
            && let Some(trail) = notebook.actor()
        {
            trail.count(EXPOSED, 1);
            trail.moment(WHAT, 0, what);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        for case in cases.fresh(Scope::Endpoint) {
            let trail = case.total();
            let exposed = trail.counted(EXPOSED);
            if (exposed as f64) < cases.setting(&ABOUT, "answers") {
                continue;
            }
            let readers: Vec<_> =
                cases.others(&case).filter(|reader| reader.total().counted(EXPOSED) > 0).collect();
            let outside = readers.iter().any(|reader| is_external(&reader.key.caller));
            let bits = trail.moments(WHAT).iter().fold(0, |all, moment| all | moment.what);
            let evidence = format!(
                "{} in {exposed} answers to {} callers, of {} with sensitive data that were read",
                words(bits).join(", "),
                readers.len(),
                trail.counted(SENSITIVE).max(exposed)
            );
            bench.accuse(
                Accusation::of(&case, trail)
                    .of_everybody()
                    .weigh(if outside { Severity::High } else { Severity::Medium }, 7)
                    .say(format!("{} says more than anybody needs", case.operation()), evidence)
                    .fact("answers", exposed as f64)
                    .fact("callers", readers.len() as f64)
                    .suggest("endpoint", 0),
            );
        }
    }
}

/// What of an answer nobody needs, as bits: classes, then names.
fn exposed(answer: &Body) -> u64 {
    let found = |class: Sensitive| answer.sensitive.iter().any(|(known, _)| known == class);
    let classes = CLASSES.iter().enumerate().filter(|(_, class)| found(**class)).map(|(bit, _)| bit);
    let named = |name: &str| answer.shape.places().iter().any(|property| is_named(property, name));
    let names = NAMES.iter().enumerate().filter(|(_, name)| named(name)).map(|(bit, _)| bit + CLASSES.len());
    classes.chain(names).fold(0, |bits, bit| bits | 1 << bit)
}

fn is_named(property: &Property, name: &str) -> bool {
    let last = property.path.rsplit('.').next().unwrap_or_default().as_bytes();
    // A property that is only ever an object or a flag holds no secret: `password: {changed_at}`.
    let is_text = property.longest >= 3 && property.objects == 0;
    is_text && last.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name.as_bytes()))
}

fn words(bits: u64) -> Vec<&'static str> {
    let all = CLASSES.iter().map(|class| class.name()).chain(NAMES);
    all.enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    #[test]
    fn cards_and_hashes_of_passwords() {
        let mut scene = Scene::new();
        for user in [1, 1, 2] {
            let answer = |call: &mut _| Scene::answer(call, &[".card", ".password_hash"], &[Sensitive::Card]);
            scene.user(user).call("GET", "/users/7", 200, answer);
        }
        let finding = scene.only("property-exposure");
        assert_eq!((finding.severity, finding.actor.as_str()), (Severity::High, ""));
        assert!(finding.evidence.starts_with("card, password in 3 answers to 2"), "{}", finding.evidence);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        for _ in 0..9 {
            let mail = |call: &mut _| Scene::answer(call, &[".email", ".name"], &[Sensitive::Email]);
            scene.user(1).call("GET", "/users/7", 200, mail);
            let token = |call: &mut _| Scene::answer(call, &[".secret"], &[Sensitive::Token]);
            scene.anonymous().call("POST", "/oauth/token", 200, token);
            let card = |call: &mut _| Scene::answer(call, &[".card"], &[Sensitive::Card]);
            scene.user(1).call("GET", "/cards/7", 403, card);
        }
        scene.nothing("property-exposure");
    }
}
