//! One identity reads one object after another, far more than anybody else does there.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Case, Cases};
use crate::distinct::EXACT;
use crate::finding::Severity;
use crate::fingerprint;
use crate::trail::{Mark, Outcome, Scope, Trail};
use apisec_proto::call::AuthScheme;

pub(super) struct BolaEnumeration;

const ABOUT: About = About {
    id: "bola-enumeration",
    owasp: "API1:2023",
    cwe: "CWE-639",
    title: "objects of others, one by one",
    what: "One identity asks for many distinct objects of an endpoint in a short time, far more than others do.",
    why: "A service that checks who you are, but not whose the object is, gives away everything to whoever counts.",
    evidence: "Distinct ids in the path per identity within a window, against the median of the other identities at \
               the same endpoint. Numbers without gaps and answers with 2xx make it surer. Endpoints where \
               everybody reads as much, those that nobody needs an identity for, and objects that the service \
               itself listed to the same identity before, are no finding. Programs (API keys, tokens of services and \
               administrators) go through everything as their work: of them only a burst is told, as a guess.",
    remedy: "Check in the handler that the object belongs to the caller; block the identity meanwhile, and look at \
             which objects it has read.",
    bound: "Three distinct counts per actor and endpoint (exact to 64, then 512 bytes each); 128 KiB per node.",
    settings: &[
        Setting { name: "objects", default: 50.0, what: "distinct objects within the window" },
        Setting { name: "window", default: 60.0, what: "seconds, at most 120" },
        Setting { name: "times", default: 10.0, what: "how many times the median of the others" },
        Setting { name: "slow_objects", default: 200.0, what: "distinct objects, however slowly" },
        Setting {
            name: "above_usual",
            default: 3.0,
            what: "how many times what is usual there in a minute, once that is known: instead of objects, at least a third of them",
        },
        Setting {
            name: "listed",
            default: 0.33,
            what: "share of objects that were listed to the identity before; of long lists the beginning is read",
        },
    ],
};

/// Objects that the service had listed to whoever asks for them.
const LISTED: Mark = Mark::new("bola-enumeration.listed");

/// Calls about objects, by programs.
const BY_PROGRAM: Mark = Mark::new("bola-enumeration.by-program");

/// Others that make a median worth something.
const ENOUGH_OTHERS: usize = 5;

impl Detector for BolaEnumeration {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::OBJECTS
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let objects = &seen.call.objects;
        if seen.outcome != Outcome::Accepted || seen.call.identity.is_none() {
            return;
        }
        if seen.values.is_empty() || objects.asked.is_empty() {
            // What the answer about one object names is no list.
            objects.given.iter().for_each(|id| notebook.give(*id));
            return;
        }
        let program = seen.call.auth == AuthScheme::ApiKey || seen.is_privileged();
        if program && let Some(trail) = notebook.actor() {
            trail.count(BY_PROGRAM, 1);
        }
        if objects.asked.iter().all(|id| notebook.was_given(*id))
            && let Some(trail) = notebook.actor()
        {
            let object = objects.asked.iter().copied().reduce(fingerprint::pair);
            object.into_iter().for_each(|object| trail.insert(LISTED, object));
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let [limit, window, slow, above] =
            ["objects", "window", "slow_objects", "above_usual"].map(|name| cases.setting(&ABOUT, name));
        for case in cases.fresh(Scope::Actor).filter(Case::is_somebody) {
            // The whole is at least the window: most cases end here.
            let total = case.total();
            let most = total.objects.count().max(total.missed.count()) as f64;
            if most < limit / 3.0 {
                continue;
            }
            let objects = cases.usual(&case).map_or(limit, |norm| {
                (above * norm.objects.usual_most() as f64 * (window / 60.0).max(1.0)).max(limit / 3.0)
            });
            if most < objects {
                continue;
            }
            let recent = case.dossier.window(window);
            let is_fast = recent.objects.count().max(recent.missed.count()) as f64 >= objects;
            if is_fast {
                judge(&case, &recent, cases, Span::Window(window), bench);
            } else if most >= slow && total.counted(BY_PROGRAM) == 0 {
                judge(&case, total, cases, Span::Always, bench);
            }
        }
    }
}

/// What is looked at, of this actor and of the others.
#[derive(Clone, Copy)]
enum Span {
    /// So many seconds.
    Window(f64),
    /// All that is known.
    Always,
}

fn judge(case: &Case<'_>, trail: &Trail, cases: &Cases<'_>, span: Span, bench: &mut Bench<'_>) {
    let (seconds, window) = match span {
        Span::Window(seconds) => (seconds, Some(seconds)),
        Span::Always => (trail.last.saturating_sub(trail.first) as f64 / 1e9, None),
    };
    let (read, missed) = (trail.objects.count(), trail.missed.count());
    let accepted = read >= missed;
    let count = read.max(missed);
    let mut others: Vec<u64> = cases
        .others(case)
        .filter(Case::is_somebody)
        .map(|other| {
            let (read, missed) = other.dossier.objects(window);
            if accepted { read } else { missed }
        })
        .collect();
    others.sort_unstable();
    let median = others.get(others.len() / 2).copied().unwrap_or(0);
    // How often one is slow says nothing of how much one reads in all.
    let norm = cases.usual(case).filter(|_| window.is_some());
    if norm.is_none() && (count as f64) < cases.setting(&ABOUT, "times") * median.max(1) as f64 {
        return;
    }
    let listed = trail.distinct(LISTED) as f64 / read.max(1) as f64;
    if accepted && listed >= cases.setting(&ABOUT, "listed") {
        return;
    }
    let share = trail.with(Outcome::Accepted) as f64 / trail.calls.max(1) as f64;
    let (low, high) = trail.span;
    let dense = accepted && low <= high && read as f64 >= 0.7 * (high - low + 1) as f64;
    let is_program = trail.counted(BY_PROGRAM) > 0;
    let points = match is_program {
        true => 3,
        false => 3 + u8::from(dense) * 3 + u8::from(others.len() >= ENOUGH_OTHERS || norm.is_some()) * 3,
    };
    let usually = norm.map_or_else(String::new, |norm| {
        format!(
            "; usually at most {} in a minute ({} minutes known)",
            norm.objects.usual_most(),
            norm.minutes
        )
    });
    let who = if is_program { "; by a program" } else { "" };
    let known = match others.len() {
        0 => "nobody else was seen there".to_owned(),
        _ => format!("median of {} others {median}", others.len()),
    };
    let pattern = if dense { format!("; numbers {low} to {high} with few gaps") } else { String::new() };
    let about = if count > EXACT as u64 { "about " } else { "" };
    let evidence = format!(
        "{about}{count} distinct objects in {seconds:.0} s, {known}; {:.0} % of {} calls accepted{pattern}{usually}{who}",
        share * 100.0,
        trail.calls
    );
    // What only the norm makes of it is never high.
    let few = (count as f64) < cases.setting(&ABOUT, "objects");
    let (severity, verb) = match (accepted, few) {
        (true, false) => (Severity::High, "reads"),
        (true, true) => (Severity::Medium, "reads"),
        (false, _) => (Severity::Low, "tries"),
    };
    let accusation = Accusation::of(case, trail)
        .weigh(severity, points)
        .say(format!("one identity {verb} {count} objects of {}", case.operation()), evidence)
        .fact("objects", count as f64)
        .fact("median_of_others", median as f64)
        .fact("others", others.len() as f64)
        .fact("accepted_share", share)
        .fact("listed_share", listed)
        .suggest("identity", 0);
    bench.accuse(accusation);
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;
    use crate::finding::Severity;
    use apisec_proto::call::Call;

    #[test]
    fn counting_through_orders_is_found_and_updated() {
        let mut scene = Scene::new();
        for customer in 1..=8 {
            scene.user(customer).get(&format!("/orders/{}", 500 + customer), 200);
        }
        for order in 0..60 {
            scene.user(99).get(&format!("/orders/{}", 1_000 + order), 200);
        }
        let finding = scene.only("bola-enumeration");
        assert_eq!((finding.severity, finding.method.as_str()), (Severity::High, "GET"));
        assert_eq!(finding.path, "/orders/{id:int}");
        assert!(finding.evidence.contains("60 distinct objects"), "{}", finding.evidence);
        assert!(finding.evidence.contains("median of 8 others 1"), "{}", finding.evidence);
        assert_eq!(finding.calls.len(), 3);
        for order in 60..90 {
            scene.user(99).get(&format!("/orders/{}", 1_000 + order), 200);
        }
        let later = scene.only("bola-enumeration");
        assert_eq!(later.id, finding.id);
        assert!((82.0..98.0).contains(&later.facts["objects"]), "{}", later.evidence);
    }

    #[test]
    fn what_is_refused_is_low() {
        let mut scene = Scene::new();
        (0..60).for_each(|order| scene.user(99).get(&format!("/orders/{order}"), 403));
        assert_eq!(scene.only("bola-enumeration").severity, Severity::Low);
    }

    #[test]
    fn names_that_were_folded_are_objects() {
        let mut scene = Scene::new();
        (0..60)
            .for_each(|n| scene.user(99).get(&format!("/accounts/{}", crate::detect::scene::word(n)), 200));
        let finding = scene.only("bola-enumeration");
        assert_eq!((finding.path.as_str(), finding.facts["objects"]), ("/accounts/{name}", 60.0));
    }

    #[test]
    fn a_program_that_goes_through_everything_is_a_guess_at_most() {
        let program = |call: &mut Call| {
            call.auth = apisec_proto::call::AuthScheme::ApiKey;
            call.objects.asked.push(7);
        };
        let mut scene = Scene::new();
        scene.pace = 10_000_000_000;
        (0..400).for_each(|order| scene.user(7).call("GET", &format!("/orders/{order}"), 200, program));
        scene.nothing("bola-enumeration");
        scene.pace = 10_000_000;
        (0..400).for_each(|order| scene.user(7).call("GET", &format!("/orders/{order}"), 200, program));
        assert_eq!(scene.only("bola-enumeration").severity, Severity::Medium);
    }

    #[test]
    fn near_misses() {
        // Just below the threshold; the same object again and again; everybody reads as much; nobody is somebody.
        let mut scene = Scene::new();
        (0..49).for_each(|order| scene.user(1).get(&format!("/orders/{order}"), 200));
        (0..300).for_each(|_| scene.user(2).get("/orders/7", 200));
        for customer in 10..14 {
            (0..60).for_each(|part| scene.user(customer).get(&format!("/parts/{part}"), 200));
        }
        (0..300).for_each(|part| scene.anonymous().get(&format!("/products/{part}"), 200));
        scene.nothing("bola-enumeration");
    }

    #[test]
    fn what_was_listed_to_a_customer_is_theirs_and_to_nobody_else() {
        let mut scene = Scene::new();
        let lists = |call: &mut Call| call.objects.given = (1_000..1_100).collect();
        scene.user(20).call("GET", "/orders", 200, lists);
        for order in 1_000..1_100 {
            scene.user(20).call("GET", &format!("/orders/{order}"), 200, asks(order));
        }
        scene.nothing("bola-enumeration");
        for order in 1_000..1_100 {
            scene.user(21).call("GET", &format!("/parts/{order}"), 200, asks(order));
        }
        assert_eq!(scene.only("bola-enumeration").path, "/parts/{id:int}");
    }

    fn asks(object: u64) -> impl FnOnce(&mut Call) {
        move |call| call.objects.asked.push(object)
    }
}
