//! A program goes through a flow that is made for people: accounts by the dozen, orders like clockwork.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Case, Cases};
use crate::finding::Severity;
use crate::flow::{self, Kind};
use crate::trail::{Mark, Outcome, Scope};

pub(super) struct BusinessFlow;

const ABOUT: About = About {
    id: "business-flow",
    owasp: "API6:2023",
    cwe: "CWE-799",
    title: "a program in a flow for people",
    what: "One caller opens many accounts, or orders, books or transfers again and again at a pace that no person \
           keeps, without the steps around it that people take.",
    why: "Scalpers, fake accounts and stuffed carts use an API exactly as it is meant to be used, only as no person \
          would: no single call is wrong.",
    evidence: "Accepted calls of a step such as sign-up or checkout by one caller within a window; the spread of the \
               pauses between them; the share of that step among all its calls, against that of others. Two of \
               these must agree. Callers that only pass calls on are left out.",
    remedy: "Ask for what programs do not have (a device, a proof of personhood, a confirmed address), limit the \
             step per account and machine, and undo what was done.",
    bound: "The times of 32 calls per actor and step.",
    settings: &[
        Setting { name: "accounts", default: 15.0, what: "accounts opened by one caller within the window" },
        Setting { name: "calls", default: 20.0, what: "accepted calls of another step within the window" },
        Setting { name: "window", default: 120.0, what: "seconds, at most 120" },
        Setting {
            name: "spread",
            default: 0.25,
            what: "of pauses that look like a program: deviation over mean",
        },
        Setting { name: "times", default: 3.0, what: "how many times the others' share of the step" },
    ],
};

const STEPS: Mark = Mark::new("business-flow.steps");

impl Detector for BusinessFlow {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::FLOW
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if seen.call.method == "POST"
            && seen.outcome == Outcome::Accepted
            && let Some(trail) = notebook.actor()
        {
            trail.moment(STEPS, seen.call.at, seen.call.at);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        for case in cases.fresh(Scope::Actor).filter(|case| case.key.endpoint.method == "POST") {
            match flow::kind(&case.key.endpoint.path) {
                Some(Kind::SignUp) => sign_ups(&case, cases, bench),
                Some(Kind::Step) => steps(&case, cases, bench),
                None => {}
            }
        }
    }
}

fn sign_ups(case: &Case<'_>, cases: &Cases<'_>, bench: &mut Bench<'_>) {
    let window = cases.setting(&ABOUT, "window");
    let recent = case.dossier.window(window);
    let opened = recent.with(Outcome::Accepted);
    if (opened as f64) < cases.setting(&ABOUT, "accounts") || flow::is_relay(cases, case) {
        return;
    }
    let spread = flow::spread(recent.moments(STEPS));
    let regular = spread.is_some_and(|spread| spread < cases.setting(&ABOUT, "spread"));
    let pace =
        spread.map_or_else(String::new, |spread| format!("; pauses differ by {:.0} %", spread * 100.0));
    let accusation = Accusation::of(case, &recent)
        .weigh(Severity::High, 5 + 3 * u8::from(regular))
        .say(
            format!("one caller opened {opened} accounts"),
            format!("{opened} accounts in {window:.0} s from {}{pace}", case.key.caller),
        )
        .fact("accounts", opened as f64)
        .fact("spread", spread.unwrap_or(1.0))
        .suggest("rate", 2);
    bench.accuse(accusation);
}

fn steps(case: &Case<'_>, cases: &Cases<'_>, bench: &mut Bench<'_>) {
    let window = cases.setting(&ABOUT, "window");
    let recent = case.dossier.window(window);
    let taken = recent.with(Outcome::Accepted);
    if (taken as f64) < cases.setting(&ABOUT, "calls") {
        return;
    }
    let spread = flow::spread(recent.moments(STEPS)).unwrap_or(1.0);
    let regular = spread < cases.setting(&ABOUT, "spread");
    let share = share(cases, case);
    let mut shares: Vec<f64> =
        cases.others(case).filter(Case::is_somebody).map(|other| self::share(cases, &other)).collect();
    shares.sort_by(f64::total_cmp);
    let usual = shares.get(shares.len() / 2).copied();
    let skips = match usual {
        Some(usual) => share >= cases.setting(&ABOUT, "times") * usual,
        None => share >= 0.3,
    };
    if !(regular && skips) || flow::is_relay(cases, case) {
        return;
    }
    let against = usual.map_or_else(
        || "nobody else was seen".to_owned(),
        |usual| format!("{:.0} % with {} others", usual * 100.0, shares.len()),
    );
    let evidence = format!(
        "{taken} accepted in {window:.0} s; pauses differ by {:.0} %; {:.0} % of all its calls are this step, {against}",
        spread * 100.0,
        share * 100.0
    );
    let accusation = Accusation::of(case, &recent)
        .weigh(Severity::High, 5 + 2 * u8::from(shares.len() >= 3))
        .say(format!("a program goes through {} {taken} times", case.operation()), evidence)
        .fact("calls", taken as f64)
        .fact("spread", spread)
        .fact("share", share)
        .suggest("rate", 2);
    bench.accuse(accusation);
}

/// How much of all that an actor does at a service is this.
fn share(cases: &Cases<'_>, case: &Case<'_>) -> f64 {
    let all = cases.client(case).map_or(0, |client| client.total().calls);
    case.total().calls as f64 / all.max(case.total().calls).max(1) as f64
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;
    use crate::finding::Severity;

    fn people(scene: &mut Scene) {
        for customer in 1..=6 {
            scene.user(customer);
            for product in 0..9 {
                scene.get(&format!("/products/{product}"), 200);
            }
            scene.post("/orders", 201);
        }
    }

    #[test]
    fn orders_like_clockwork_are_a_program() {
        let mut scene = Scene::new();
        people(&mut scene);
        scene.pace = 400_000_000;
        (0..30).for_each(|_| scene.user(99).post("/orders", 201));
        let finding = scene.only("business-flow");
        assert_eq!((finding.severity, finding.path.as_str()), (Severity::High, "/orders"));
        assert!(finding.evidence.contains("100 % of all its calls"), "{}", finding.evidence);
    }

    #[test]
    fn accounts_by_the_dozen() {
        let mut scene = Scene::new();
        (0..20).for_each(|_| scene.anonymous().post("/api/signup", 201));
        assert_eq!(scene.only("business-flow").facts["accounts"], 20.0);
    }

    #[test]
    fn near_misses() {
        // Somebody who orders as often, but as people do; sign-ups that are refused; a program that only reads.
        let mut scene = Scene::new();
        people(&mut scene);
        for n in 0_u64..30 {
            scene.user(98).post("/orders", 201);
            scene.pace = 40_000_000 + (n * n * 7 % 13) * 300_000_000;
        }
        (0..40).for_each(|_| scene.anonymous().post("/api/signup", 409));
        (0..40).for_each(|_| scene.user(97).get("/orders", 200));
        scene.nothing("business-flow");
    }
}
