//! Many accounts, one or few passwords each, from one address; and credentials that are guessed.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Case, Cases};
use crate::finding::Severity;
use crate::fingerprint;
use crate::trail::{Mark, Outcome, Scope, Trail};
use std::net::IpAddr;

pub(super) struct AuthCredentialStuffing;

const ABOUT: About = About {
    id: "auth-credential-stuffing",
    owasp: "API2:2023",
    cwe: "CWE-307",
    title: "many accounts, leaked or guessed credentials",
    what: "From one address many different accounts are tried and stay closed; or many different keys and tokens are refused.",
    why: "People use one password in many places; lists of leaked ones fit again and again.",
    evidence: "Distinct accounts that failed per address and were not entered from there within the window, as keyed hashes, \
               and their share of all that were tried. People who mistype get in with the next try, also those who share the \
               address of an office or a proxy: they count for nothing. Where nearly as many get in, the address is shared, \
               and that is said: who of them it was is not known. One password for all of them is said too.",
    remedy: "Limit failures per source and ask for a second factor; the accounts that were entered need new passwords.",
    bound: "One trail per address and operation, with four distinct counts.",
    settings: &[
        Setting {
            name: "accounts",
            default: 10.0,
            what: "accounts that failed and stayed closed within the window",
        },
        Setting { name: "share", default: 0.25, what: "their share of the accounts that were tried, 0 to 1" },
        Setting { name: "tokens", default: 20.0, what: "distinct refused tokens or keys within the window" },
        Setting { name: "window", default: 120.0, what: "seconds, at most 120" },
        Setting {
            name: "slow_accounts",
            default: 40.0,
            what: "accounts that failed and stayed closed, however slowly, and most of those that were tried",
        },
    ],
};

const FAILED: Mark = Mark::new("auth-credential-stuffing.failed");
const ENTERED: Mark = Mark::new("auth-credential-stuffing.entered");
const ACCOUNTS: Mark = Mark::new("auth-credential-stuffing.accounts");
const OPENED: Mark = Mark::new("auth-credential-stuffing.opened");
const PASSWORDS: Mark = Mark::new("auth-credential-stuffing.passwords");
const TOKENS: Mark = Mark::new("auth-credential-stuffing.tokens");

impl Detector for AuthCredentialStuffing {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::ACCOUNT.or(Cues::DENIED)
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
            trail.count(ENTERED, 1);
            return trail.insert(OPENED, account);
        }
        trail.count(FAILED, 1);
        trail.insert(ACCOUNTS, account);
        objects.password.into_iter().for_each(|password| trail.insert(PASSWORDS, password));
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let [window, slow] = ["window", "slow_accounts"].map(|name| cases.setting(&ABOUT, name));
        for case in cases.fresh(Scope::Own) {
            let trail = case.dossier.window(window);
            let tried = Tried::of(&trail);
            if tried.closed as f64 >= cases.setting(&ABOUT, "accounts")
                && tried.share() >= cases.setting(&ABOUT, "share")
            {
                bench.accuse(tried.accusation(&case, &trail));
            } else if trail.distinct(TOKENS) as f64 >= cases.setting(&ABOUT, "tokens") {
                bench.accuse(guessed(&case, &trail));
            } else if case.total().distinct(ACCOUNTS) as f64 >= slow {
                let tried = Tried::of(case.total());
                if tried.closed as f64 >= slow && !tried.is_shared() {
                    bench.accuse(tried.accusation(&case, case.total()));
                }
            }
        }
    }
}

/// What became of the accounts that were tried from one address.
struct Tried {
    /// Accounts that failed and were not entered.
    closed: u64,
    /// Accounts that were entered.
    opened: u64,
}

impl Tried {
    fn of(trail: &Trail) -> Self {
        let opened = trail.distinct(OPENED);
        let mut all = trail.set(ACCOUNTS).cloned().unwrap_or_default();
        trail.set(OPENED).into_iter().for_each(|opened| all.merge(opened));
        Self { closed: all.count().saturating_sub(opened), opened }
    }

    fn share(&self) -> f64 {
        self.closed as f64 / (self.closed + self.opened).max(1) as f64
    }

    /// Others use the address too: about as many get in.
    const fn is_shared(&self) -> bool {
        self.opened * 2 >= self.closed
    }

    fn accusation(&self, case: &Case<'_>, trail: &Trail) -> Accusation {
        let Self { closed, opened } = self;
        let sprayed = if trail.distinct(PASSWORDS) <= 2 { ", all with the same password" } else { "" };
        let shared = if self.is_shared() { "; others get in from this address: it is shared" } else { "" };
        let evidence = format!(
            "{closed} distinct accounts failed from one address and stayed closed{sprayed}; {} failures, {opened} accounts \
             entered{shared}",
            trail.counted(FAILED)
        );
        let (severity, points) = match (*opened, self.is_shared()) {
            (_, true) => (Severity::Medium, 5),
            (0, _) => (Severity::Medium, 7),
            _ => (Severity::High, 7),
        };
        Accusation::of(case, trail)
            .suggest("rate", 10)
            .weigh(severity, points)
            .say(format!("leaked or guessed passwords are tried at {}", case.operation()), evidence)
            .fact("accounts", *closed as f64)
            .fact("entered", *opened as f64)
    }
}

fn guessed(case: &Case<'_>, trail: &Trail) -> Accusation {
    let tokens = trail.distinct(TOKENS);
    Accusation::of(case, trail)
        .suggest("rate", 10)
        .weigh(Severity::Low, 6)
        .say(
            format!("tokens are guessed at {}", case.operation()),
            format!("{tokens} distinct tokens or keys from one address were refused"),
        )
        .fact("tokens", tokens as f64)
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
    fn a_list_of_leaked_passwords_from_behind_a_busy_proxy() {
        let mut scene = Scene::new();
        for person in 0..60 {
            scene.log_in(1_000 + person, 2, 200);
            scene.log_in(person, person, 401);
        }
        let finding = scene.only("auth-credential-stuffing");
        assert_eq!(finding.severity, Severity::Medium);
        assert_eq!(finding.confidence, crate::finding::Confidence::Medium);
        assert!(finding.evidence.ends_with("it is shared"), "{}", finding.evidence);
    }

    #[test]
    fn entering_an_account_of_ones_own_now_and_then_hides_nothing() {
        let mut scene = Scene::new();
        for person in 0..40 {
            (0..5).for_each(|_| scene.log_in(999, 7, 200));
            scene.log_in(person, person, 401);
        }
        assert_eq!(scene.only("auth-credential-stuffing").severity, Severity::High);
    }

    #[test]
    fn near_misses() {
        // All customers behind one proxy, of whom most mistype, and some have forgotten what they once chose.
        let mut scene = Scene::new();
        for person in 0..60 {
            if person % 4 != 0 {
                scene.log_in(person, 1, 401);
            }
            if person % 8 != 0 {
                scene.log_in(person, 2, 200);
            }
        }
        scene.nothing("auth-credential-stuffing");
        let mut scene = Scene::new();
        (0..9).for_each(|person| scene.log_in(person, person, 401));
        scene.nothing("auth-credential-stuffing");
    }
}
