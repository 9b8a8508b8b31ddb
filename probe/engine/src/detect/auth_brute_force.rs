//! One account, many passwords.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, Scope};

pub(super) struct AuthBruteForce;

const ABOUT: About = About {
    id: "auth-brute-force",
    owasp: "API2:2023",
    cwe: "CWE-307",
    title: "one account, many passwords",
    what: "Somebody fails to get into one account again and again, from one place or from many.",
    why: "Without a limit, every password is found in the end.",
    evidence: "Requests to log in by account, as a keyed hash of the name in them, and their answers. A person mistypes \
               some times; that one of them succeeds after many failures makes it high.",
    remedy: "Limit attempts per account and per source, with growing pauses; if one succeeded, end the sessions of the \
             account and have its password changed.",
    bound: "One trail per account, caller and operation, with the newest 32 attempts of each kind.",
    settings: &[
        Setting { name: "failures", default: 10.0, what: "failures for one account within the window" },
        Setting { name: "window", default: 120.0, what: "seconds, at most 120" },
        Setting {
            name: "slow_failures",
            default: 40.0,
            what: "failures for one account, however slowly, with hardly an entry between them",
        },
    ],
};

const FAILED: Mark = Mark::new("auth-brute-force.failed");
const ENTERED: Mark = Mark::new("auth-brute-force.entered");

impl Detector for AuthBruteForce {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::ACCOUNT
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let Some(account) = seen.call.objects.account else { return };
        let mark = match seen.outcome {
            Outcome::Accepted => ENTERED,
            Outcome::Denied | Outcome::Refused => FAILED,
            Outcome::Failed => return,
        };
        if let Some(trail) = notebook.own(account) {
            trail.add(seen.call, &[]);
            trail.count(mark, 1);
            trail.moment(mark, seen.call.at, seen.call.objects.password.unwrap_or_default());
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let [failures, window, slow] =
            ["failures", "window", "slow_failures"].map(|name| cases.setting(&ABOUT, name));
        for case in cases.fresh(Scope::Own) {
            let total = case.total();
            let drips = total.counted(FAILED) as f64 >= slow.max(10.0 * total.counted(ENTERED) as f64);
            let mut trail = case.dossier.window(window);
            if (trail.counted(FAILED) as f64) < failures {
                if !drips {
                    continue;
                }
                trail = total.clone();
            }
            let failed = trail.counted(FAILED);
            let (tries, entries) = (trail.moments(FAILED), trail.moments(ENTERED));
            let passwords: std::collections::BTreeSet<u64> = tries.iter().map(|moment| moment.what).collect();
            // The same wrong password again and again is a program with an old one, not somebody who guesses.
            if passwords.len() <= 2 && !passwords.contains(&0) {
                continue;
            }
            let last = entries.last().map(|entry| entry.at);
            let before = tries.iter().filter(|moment| last.is_some_and(|last| moment.at < last)).count();
            let entered = before as f64 >= failures.min(tries.len() as f64);
            let guesses = passwords.len() > 2;
            let (severity, points) = match (entered, guesses) {
                (true, true) => (Severity::High, 8),
                (false, true) => (Severity::Medium, 8),
                _ => (Severity::Low, 5),
            };
            let seconds = trail.last.saturating_sub(trail.first) as f64 / 1e9;
            let end = if entered { ", then one that was accepted" } else { ", none accepted" };
            let distinct = match passwords.len() {
                n if n >= 32 => "at least 32".to_owned(),
                n => n.to_string(),
            };
            let evidence = format!(
                "{failed} failures for one account in {seconds:.0} s with {distinct} distinct passwords{end}"
            );
            bench.accuse(
                Accusation::of(&case, &trail)
                    .weigh(severity, points)
                    .say(format!("passwords of one account are tried at {}", case.operation()), evidence)
                    .fact("failures", failed as f64)
                    .fact("entered", f64::from(u8::from(entered)))
                    .suggest("rate", 5),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    #[test]
    fn many_passwords_and_then_the_right_one() {
        let mut scene = Scene::new();
        (0..20).for_each(|password| scene.log_in(7, password, 401));
        assert_eq!(scene.only("auth-brute-force").severity, Severity::Medium);
        scene.log_in(7, 99, 200);
        let finding = scene.only("auth-brute-force");
        assert_eq!(finding.severity, Severity::High);
        assert!(finding.evidence.contains("20 distinct passwords, then one"), "{}", finding.evidence);
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        for person in 0..50 {
            // Mistyped once or twice.
            (0..person % 3).for_each(|password| scene.log_in(person, password, 401));
            scene.log_in(person, 99, 200);
        }
        (0..9).for_each(|password| scene.log_in(100, password, 401));
        // A program with an old password is no attack.
        (0..30).for_each(|_| scene.log_in(101, 1, 401));
        scene.nothing("auth-brute-force");
    }
}
