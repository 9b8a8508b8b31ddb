//! Many accounts, one or few passwords each, from one address; and credentials that are guessed.

use super::{About, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::fingerprint;
use crate::trail::{Mark, Outcome, Scope};
use std::net::IpAddr;

pub(super) struct AuthCredentialStuffing;

const ABOUT: About = About {
    id: "auth-credential-stuffing",
    owasp: "API2:2023",
    cwe: "CWE-307",
    title: "many accounts, leaked or guessed credentials",
    what: "From one address, most attempts to get into many different accounts fail; or many different keys and tokens are \
           refused.",
    why: "People use one password in many places; lists of leaked ones fit again and again.",
    evidence: "Distinct accounts that failed per address, as keyed hashes, and the share of failures: people of one office \
               share an address too, but most of them get in. One password for all of them is said.",
    remedy: "Limit failures per source and ask for a second factor; the accounts that were entered need new passwords.",
    bound: "One trail per address and operation, with three distinct counts.",
    settings: &[
        Setting { name: "accounts", default: 10.0, what: "distinct accounts that failed within the window" },
        Setting { name: "share", default: 0.5, what: "share of attempts that failed, 0 to 1" },
        Setting { name: "tokens", default: 20.0, what: "distinct refused tokens or keys within the window" },
        Setting { name: "window", default: 120.0, what: "seconds, at most 120" },
    ],
};

const FAILED: Mark = Mark::new("auth-credential-stuffing.failed");
const ENTERED: Mark = Mark::new("auth-credential-stuffing.entered");
const ACCOUNTS: Mark = Mark::new("auth-credential-stuffing.accounts");
const PASSWORDS: Mark = Mark::new("auth-credential-stuffing.passwords");
const TOKENS: Mark = Mark::new("auth-credential-stuffing.tokens");

impl Detector for AuthCredentialStuffing {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let objects = &seen.call.objects;
        let denied = seen.outcome == Outcome::Denied;
        let token = seen.call.credential.as_deref().filter(|_| denied).map(|credential| credential.token);
        if objects.account.is_none() && token.is_none() || seen.outcome == Outcome::Failed {
            return;
        }
        let Some(trail) = notebook.own(address(seen.call.src_addr.ip())) else { return };
        trail.add(seen.call, &[]);
        token.into_iter().for_each(|token| trail.insert(TOKENS, token));
        let Some(account) = objects.account else { return };
        if seen.outcome == Outcome::Accepted {
            return trail.count(ENTERED, 1);
        }
        trail.count(FAILED, 1);
        trail.insert(ACCOUNTS, account);
        objects.password.into_iter().for_each(|password| trail.insert(PASSWORDS, password));
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let [accounts, share, tokens, window] =
            ["accounts", "share", "tokens", "window"].map(|name| cases.setting(&ABOUT, name));
        for case in cases.fresh(Scope::Own) {
            let trail = case.dossier.window(window);
            let [tried, passwords, guessed] = [ACCOUNTS, PASSWORDS, TOKENS].map(|mark| trail.distinct(mark));
            let (failed, entered) = (trail.counted(FAILED), trail.counted(ENTERED));
            let fails = failed as f64 / (failed + entered).max(1) as f64;
            let accusation = Accusation::of(&case, &trail).suggest("rate", 10);
            if tried as f64 >= accounts && fails >= share {
                let sprayed = if passwords <= 2 { ", all with the same password" } else { "" };
                let evidence = format!(
                    "{tried} distinct accounts failed from one address{sprayed}; {failed} failures, {entered} entered"
                );
                let severity = if entered > 0 { Severity::High } else { Severity::Medium };
                bench.accuse(
                    accusation
                        .weigh(severity, 7)
                        .say(format!("leaked or guessed passwords are tried at {}", case.path), evidence)
                        .fact("accounts", tried as f64)
                        .fact("entered", entered as f64),
                );
            } else if guessed as f64 >= tokens {
                let evidence = format!("{guessed} distinct tokens or keys from one address were refused");
                bench.accuse(
                    accusation
                        .weigh(Severity::Low, 6)
                        .say(format!("tokens are guessed at {}", case.path), evidence)
                        .fact("tokens", guessed as f64),
                );
            }
        }
    }
}

/// The number of an address among those of this detector.
fn address(ip: IpAddr) -> u64 {
    let bits = match ip.to_canonical() {
        IpAddr::V4(ip) => u64::from(u32::from(ip)),
        // Hosts choose the lower half as they like.
        IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64,
    };
    fingerprint::pair(0x7374_7566, bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    #[test]
    fn a_list_of_leaked_passwords() {
        let mut scene = Scene::new();
        for person in 0..40 {
            scene.log_in(person, 1_000 + person, if person % 13 == 12 { 200 } else { 401 });
        }
        let finding = scene.only("auth-credential-stuffing");
        assert_eq!((finding.severity, finding.facts["entered"]), (Severity::High, 3.0));
        scene.nothing("auth-brute-force");
    }

    #[test]
    fn near_misses() {
        // An office behind one address; nine accounts that fail.
        let mut scene = Scene::new();
        for person in 0..60 {
            if person % 4 == 0 {
                scene.log_in(person, 1, 401);
            }
            scene.log_in(person, 2, 200);
        }
        scene.nothing("auth-credential-stuffing");
        let mut scene = Scene::new();
        (0..9).for_each(|person| scene.log_in(person, person, 401));
        scene.nothing("auth-credential-stuffing");
    }
}
