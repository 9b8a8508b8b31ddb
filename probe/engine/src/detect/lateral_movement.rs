//! A workload that reads what it need not read, with credentials that are right, and sends it away.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::endpoint::Id;
use crate::family::is_elsewhere;
use crate::finding::Severity;
use crate::fingerprint;
use crate::trail::{Mark, Outcome, SENSITIVE, Scope};
use std::collections::HashSet;
use std::net::IpAddr;

pub(super) struct LateralMovement;

const ABOUT: About = About {
    id: "lateral-movement",
    owasp: "",
    cwe: "CWE-653",
    title: "a workload that was taken over",
    what: "A workload reads many objects of services inside and then sends as much to a host outside; or a workload that \
           was never seen there calls operations with sensitive data, after the service was known for a while.",
    why: "Whoever is inside uses credentials that are right; only the way that data takes gives them away.",
    evidence: "Distinct objects and bytes that the workload read, the time and size of what it sent outside afterwards, and \
               whether it had sent anything there before. The first call along an edge, against how long the service is \
               known. Replicas of known callers are no finding.",
    remedy: "Cut the workload off from outside first, then look at how it was entered; exchange the credentials it holds.",
    bound: "Per workload two distinct counts, three sums and the newest 32 moments.",
    settings: &[
        Setting {
            name: "objects",
            default: 10.0,
            what: "distinct objects that were read inside, within two minutes",
        },
        Setting { name: "kilobytes", default: 1.0, what: "kilobytes that were sent outside in one call" },
        Setting {
            name: "known",
            default: 600.0,
            what: "seconds that a service is known before a new edge is news",
        },
    ],
};

const READ: Mark = Mark::new("lateral-movement.read");
const BYTES: Mark = Mark::new("lateral-movement.bytes");
const SENT: Mark = Mark::new("lateral-movement.sent");
const SENT_TO: Mark = Mark::new("lateral-movement.sent-to");
const LAST_READ: Mark = Mark::new("lateral-movement.last-read");

/// Nanoseconds between the last reading and the sending.
const SOON: u64 = 10_000_000_000;

impl Detector for LateralMovement {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::OBJECTS.or(Cues::SENT)
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let call = seen.call;
        let writes = call.request_body > 0 && matches!(call.method.as_str(), "POST" | "PUT" | "PATCH");
        let asks = call.response_body > 0 && !call.objects.asked.is_empty();
        if seen.outcome != Outcome::Accepted || !(writes || asks) || is_elsewhere(&call.src.workload.id) {
            return;
        }
        let outside = is_elsewhere(&call.dst.workload.id) || is_public(&call.host);
        let reads = !outside && asks;
        if outside && !writes || !outside && !asks {
            return;
        }
        let Some(trail) = notebook.caller() else { return };
        if reads {
            call.objects.asked.iter().for_each(|object| trail.insert(READ, *object));
            trail.count(BYTES, call.response_body);
            let second = 1_000_000_000;
            trail.moment(LAST_READ, call.at / second * second, 0);
        } else {
            trail.moment(SENT, call.at, call.request_body);
            trail.moment(SENT_TO, call.at, fingerprint::of(call.host.as_bytes()));
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        exfiltration(cases, bench);
        new_edges(cases, bench);
    }
}

/// Read inside, sent outside.
fn exfiltration(cases: &Cases<'_>, bench: &mut Bench<'_>) {
    let [objects, kilobytes] = ["objects", "kilobytes"].map(|name| cases.setting(&ABOUT, name));
    for case in cases.fresh(Scope::Workload) {
        let trail = case.dossier.window(120.0);
        let read = trail.distinct(READ);
        let reads = trail.moments(LAST_READ);
        if (read as f64) < objects || reads.is_empty() {
            continue;
        }
        // What was sent before the last reading was something else.
        let newest = reads.last().map_or(0, |read| read.at);
        let sent = trail.moments(SENT).iter().filter(|sent| {
            let follows = sent.at >= newest && sent.at - newest <= SOON;
            follows && sent.what as f64 / 1e3 >= kilobytes
        });
        let sizes: Vec<u64> = sent.map(|sent| sent.what).collect();
        if sizes.is_empty() {
            continue;
        }
        // What it has always done is what it is for.
        let recent = trail.moments(SENT_TO).iter().map(|sent| sent.what);
        let first = case.total().moments(SENT_TO).first().map_or(0, |sent| sent.at);
        let is_new = case.total().first.abs_diff(first) > 600_000_000_000;
        let places: std::collections::BTreeSet<u64> = recent.collect();
        let bytes: u64 = sizes.iter().sum();
        let (severity, points) = if is_new { (Severity::High, 8) } else { (Severity::Medium, 5) };
        let evidence = format!(
            "read {read} distinct objects ({:.1} kB) inside, then sent {:.1} kB in {} calls to {} hosts outside within \
             {} s",
            trail.counted(BYTES) as f64 / 1e3,
            bytes as f64 / 1e3,
            sizes.len(),
            places.len(),
            SOON / 1_000_000_000
        );
        bench.accuse(
            Accusation::of(&case, &trail)
                .by_workload()
                .weigh(severity, points)
                .say("a workload reads inside and sends outside".to_owned(), evidence)
                .fact("objects", read as f64)
                .fact("bytes_sent", bytes as f64)
                .suggest("quarantine", 0),
        );
    }
}

/// Services and callers that were given what is sensitive there, as answers that were read show: not all are.
fn readers<'a>(cases: &Cases<'a>) -> HashSet<(&'a Id, &'a Id)> {
    let mut readers = HashSet::new();
    for case in cases.fresh(Scope::Actor).filter(|case| cases.kinds.is_inside(&case.key.caller)) {
        let sensitive = || cases.everybody(&case).is_some_and(|all| all.total().counted(SENSITIVE) > 0);
        if case.total().with(Outcome::Accepted) > 0 && sensitive() {
            readers.insert((&case.key.endpoint.service, &case.key.caller));
        }
    }
    readers
}

/// First calls along an edge, to a service with sensitive data.
fn new_edges(cases: &Cases<'_>, bench: &mut Bench<'_>) {
    let known = cases.setting(&ABOUT, "known") * 1e9;
    let readers = readers(cases);
    for case in cases.fresh(Scope::Edge) {
        let trail = case.total();
        if !readers.contains(&(&case.key.endpoint.service, &case.key.caller))
            || trail.with(Outcome::Accepted) == 0
            || !cases.kinds.is_inside(&case.key.caller)
        {
            continue;
        }
        if cases.usual_edge(&case).is_some() {
            continue;
        }
        let service = &case.key.endpoint.service;
        let (minutes, usual) = cases
            .baseline
            .callers_of(service)
            .fold((0, 0), |(minutes, usual), (_, norm)| (norm.minutes.max(minutes), usual + 1));
        let others: Vec<_> = cases.edges_to(&case.key.endpoint).collect();
        let since = others.iter().map(|other| other.total().first).min().unwrap_or(u64::MAX);
        let replica = others.iter().any(|other| {
            other.key.caller != case.key.caller
                && cases.kinds.of(&other.key.caller) == cases.kinds.of(&case.key.caller)
        });
        // A caller that began in the first minutes is new only against what earlier runs know.
        if replica || (usual == 0 && (trail.first.saturating_sub(since) as f64) < known) {
            continue;
        }
        let usually = match usual {
            0 => String::new(),
            _ => format!("; in {minutes} minutes that are known only {usual} other kinds of callers came"),
        };
        let evidence = format!(
            "first call {:.0} s after the service was first seen; {} calls since, to operations that give \
             sensitive data ({} of these answers were read); {} other callers{usually}",
            trail.first.saturating_sub(since) as f64 / 1e9,
            trail.calls,
            trail.counted(SENSITIVE),
            others.len().saturating_sub(1)
        );
        bench.accuse(
            Accusation::of(&case, trail)
                .weigh(Severity::Medium, if usual > 0 { 7 } else { 5 })
                .say("a new caller reads sensitive data".to_owned(), evidence)
                .fact("calls", trail.calls as f64)
                .suggest("edge", 0),
        );
    }
}

/// Whether a host is a name of the public internet.
fn is_public(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let Some((_, last)) = name.trim_end_matches('.').rsplit_once('.') else { return false };
    let inside = ["local", "internal", "svc", "lan", "localdomain", "localhost", "home", "test", "cluster"];
    !inside.contains(&last) && name.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;
    use apisec_proto::sensitive::Sensitive;

    fn reads(scene: &mut Scene, objects: u64) {
        scene.from("process:mailer").to("process:users:80");
        for object in 0..objects {
            scene
                .user(1)
                .call("GET", &format!("/users/{object}"), 200, |call| call.objects.asked.push(object));
        }
    }

    fn sends(scene: &mut Scene, bytes: u64) {
        scene.from("process:mailer").to("external:203.0.113.9");
        scene.user(1).call("POST", "/drop", 200, |call| call.request_body = bytes);
    }

    #[test]
    fn read_inside_and_sent_outside() {
        let mut scene = Scene::new();
        reads(&mut scene, 30);
        sends(&mut scene, 9_000);
        let finding = scene.only("lateral-movement");
        assert_eq!((finding.actor.as_str(), finding.severity), ("process:mailer", Severity::Medium));
        assert_eq!(finding.suggestion.kind, "quarantine");
    }

    #[test]
    fn a_new_edge_to_sensitive_data() {
        let mut scene = Scene::new();
        let email = |call: &mut _| Scene::answer(call, &[".email"], &[Sensitive::Email]);
        scene.from("process:orders:81").to("process:users:80").user(1).call("GET", "/users/1", 200, email);
        scene.wait(700);
        scene.from("process:orders:82").user(1).call("GET", "/users/1", 200, email);
        scene.nothing("lateral-movement");
        scene.from("process:reports").user(1).call("GET", "/users/1", 200, email);
        assert_eq!(scene.only("lateral-movement").actor, "process:reports");
    }

    #[test]
    fn answers_to_others_show_what_is_sensitive() {
        let mut scene = Scene::new();
        let email = |call: &mut _| Scene::answer(call, &[".email"], &[Sensitive::Email]);
        scene.from("process:orders:81").to("process:users:80").user(1).call("GET", "/users/1", 200, email);
        scene.get("/stock", 200);
        scene.wait(700);
        scene.from("process:reports").user(1).get("/stock", 200);
        scene.nothing("lateral-movement");
        scene.user(1).get("/users/1", 200);
        assert_eq!(scene.only("lateral-movement").actor, "process:reports");
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        reads(&mut scene, 5);
        sends(&mut scene, 9_000);
        scene.wait(30);
        reads(&mut scene, 30);
        sends(&mut scene, 200);
        scene.wait(30);
        sends(&mut scene, 9_000);
        scene.nothing("lateral-movement");
        assert!(is_public("drop.example") && !is_public("10.0.0.7:80") && !is_public("users.shop.svc"));
    }
}
