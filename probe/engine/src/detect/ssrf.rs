//! A request names a host, and the server connects there: within, where the caller could not.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Case, Cases};
use crate::endpoint::Id;
use crate::finding::Severity;
use crate::fingerprint;
use crate::trail::{Mark, Moment, Outcome, Scope};
use apisec_proto::call::Notes;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(super) struct Ssrf;

const ABOUT: About = About {
    id: "ssrf",
    owasp: "API7:2023",
    cwe: "CWE-918",
    title: "a server was made to fetch from inside",
    what: "A value of a request names an address inside (loopback, link-local, private, a name without a domain), and \
           the same workload connects there within moments.",
    why: "The server reaches what its callers cannot: the cloud's metadata with its keys, administration without a \
          password, the neighbours.",
    evidence: "The named address, in any spelling, joined with a call that the workload made within two seconds. A \
               pair that fits is near-proof. Hosts outside, as those of web hooks and pictures, are no finding; nor \
               is an inside address that nobody connected to, but for the link-local ones of clouds.",
    remedy: "Fetch only from a list of hosts, after resolving the name; refuse private, loopback and link-local \
             addresses, also behind redirects; ask the cloud for its second metadata version.",
    bound: "32 named hosts per actor and endpoint.",
    settings: &[Setting {
        name: "within",
        default: 2.0,
        what: "seconds between the request and the connection",
    }],
};

const NAMED: Mark = Mark::new("ssrf.named");
/// A call is complete after the one that it causes, and clocks of two ends differ by less than this, nanoseconds.
const SLACK: u64 = 50_000_000;

impl Detector for Ssrf {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::NOTES
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if !seen.call.notes.any(Notes::NAMES_INSIDE) {
            return;
        }
        let Some(clues) = &seen.call.clues else { return };
        let Some(trail) = notebook.actor() else { return };
        for host in &clues.hosts {
            trail.moment(NAMED, seen.call.at, code(host));
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let within = (cases.setting(&ABOUT, "within") * 1e9) as u64;
        for case in cases.fresh(Scope::Actor) {
            let named = case.total().moments(NAMED);
            let joined =
                named.iter().find_map(|moment| Some((moment, connected(cases, &case, moment, within)?)));
            if let Some((moment, to)) = joined {
                proven(&case, moment, &to, bench);
                continue;
            }
            let metadata = named.iter().filter_map(address).find(|at| is_link_local(at.ip()));
            if let Some(address) = metadata.filter(|_| !is_passed_on(cases, &case)) {
                tried(&case, address, bench);
            }
        }
    }
}

/// Where the callee of `case` went at the right moment, if that is what was named. Where it goes all day long is no
/// sign, but nobody goes to a cloud's metadata without a reason.
fn connected(cases: &Cases<'_>, case: &Case<'_>, named: &Moment, within: u64) -> Option<Id> {
    let then = named.at.saturating_sub(SLACK)..=named.at.saturating_add(within);
    let named = address(named);
    let metadata = named.is_some_and(|address| is_link_local(address.ip()));
    let edges = cases.dossiers.iter().filter(|(key, _)| key.scope == Scope::Edge);
    let mut there = edges.filter(|(key, dossier)| {
        let (first, last) = (dossier.total.first, dossier.total.last);
        (then.contains(&first) || (metadata && then.contains(&last)))
            && is_same(&key.caller, &case.key.endpoint.service)
            // A name says nothing about an address: then a place where it never was before has to do.
            && named.is_none_or(|address| is_at(&key.endpoint.service, address))
    });
    there.next().map(|(key, _)| key.endpoint.service.clone())
}

/// Whether somebody else answers the same operation: then this one may only have passed it on.
fn is_passed_on(cases: &Cases<'_>, case: &Case<'_>) -> bool {
    let ours = &case.key.endpoint;
    cases.dossiers.keys().any(|key| {
        key.scope == Scope::Endpoint
            && (&key.endpoint.path, &key.endpoint.method) == (&ours.path, &ours.method)
            && key.endpoint.service != ours.service
    })
}

fn proven(case: &Case<'_>, named: &Moment, to: &Id, bench: &mut Bench<'_>) {
    let what = address(named).map_or_else(|| "a host inside".to_owned(), shown);
    let metadata = address(named).is_some_and(|address| is_link_local(address.ip()));
    let accepted = case.total().with(Outcome::Accepted) > 0;
    let severity = match (accepted, metadata) {
        (true, true) => Severity::Critical,
        (true, false) => Severity::High,
        (false, _) => Severity::Medium,
    };
    let service = &case.key.endpoint.service;
    let accusation = Accusation::of(case, case.total())
        .weigh(severity, if address(named).is_some() { 9 } else { 5 })
        .say(
            format!("{} makes {service} fetch from {what}", case.operation()),
            format!("a request named {what}, and {service} called {to} within the same two seconds"),
        )
        .fact("named", case.total().moments(NAMED).len() as f64)
        .suggest("endpoint", 0);
    bench.accuse(accusation);
}

fn tried(case: &Case<'_>, address: SocketAddr, bench: &mut Bench<'_>) {
    let accusation = Accusation::of(case, case.total())
        .weigh(Severity::Low, 5)
        .say(
            format!("a request to {} names {}", case.operation(), shown(address)),
            "no connection to it was seen".to_owned(),
        )
        .suggest("endpoint", 0);
    bench.accuse(accusation);
}

/// An IPv4 address with its port as a number that can be told from a hash.
fn code(host: &str) -> u64 {
    let address = host.parse::<SocketAddr>().ok();
    let ip = address.map(|address| address.ip()).or_else(|| host.parse().ok());
    match ip {
        Some(IpAddr::V4(ip)) => u64::from(ip.to_bits()) << 16 | u64::from(address.map_or(0, |at| at.port())),
        _ => fingerprint::of(host.as_bytes()) | 1 << 63,
    }
}

fn address(moment: &Moment) -> Option<SocketAddr> {
    let ip = Ipv4Addr::from_bits((moment.what >> 16) as u32);
    (moment.what >> 48 == 0).then(|| SocketAddr::from((ip, moment.what as u16)))
}

fn shown(address: SocketAddr) -> String {
    if address.port() == 0 { address.ip().to_string() } else { address.to_string() }
}

/// Whether a caller and a service are one workload; in a capture file a server has its port behind its address.
fn is_same(caller: &str, service: &str) -> bool {
    // Everybody on a machine has the same loopback address: it names nobody.
    if caller.starts_with("external:127.") || caller == "external:::1" {
        return false;
    }
    service.strip_prefix(caller).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// Whether a service is at an address: by its own, or, on this machine, by its port.
fn is_at(service: &str, address: SocketAddr) -> bool {
    let Some(outside) = service.strip_prefix("external:") else {
        let port = service.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        return !is_link_local(address.ip())
            && port == Some(if address.port() == 0 { 80 } else { address.port() });
    };
    let there = outside.parse::<SocketAddr>();
    there.is_ok_and(|there| {
        there.ip() == address.ip() && (address.port() == 0 || there.port() == address.port())
    })
}

const fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.is_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;
    use apisec_proto::call::{Call, Clues};

    fn naming(host: &'static str, notes: Notes) -> impl FnOnce(&mut Call) {
        move |call| {
            call.notes.add(notes);
            call.clues =
                Some(Box::new(Clues { hosts: [host.into()].into_iter().collect(), ..Clues::default() }));
        }
    }

    #[test]
    fn metadata_that_was_named_and_fetched() {
        let mut scene = Scene::new();
        scene.user(1).call("POST", "/import", 201, naming("169.254.169.254", Notes::NAMES_INSIDE));
        scene.from("process:shop:80").to("external:169.254.169.254:80").anonymous().get("/latest", 200);
        let finding = scene.only("ssrf");
        assert_eq!((finding.severity, finding.path.as_str()), (Severity::Critical, "/import"));
        assert!(finding.evidence.contains("169.254.169.254"), "{}", finding.evidence);
    }

    #[test]
    fn a_neighbour_that_was_named_by_port() {
        let mut scene = Scene::new();
        scene.user(1).call("POST", "/import", 201, naming("127.0.0.1:9000", Notes::NAMES_INSIDE));
        scene.from("process:shop:80").to("process:admin:9000").get("/", 200);
        assert_eq!(scene.only("ssrf").severity, Severity::High);
    }

    #[test]
    fn metadata_that_nobody_fetched_is_low() {
        let mut scene = Scene::new();
        scene.user(1).call("POST", "/import", 201, naming("169.254.169.254", Notes::NAMES_INSIDE));
        assert_eq!(scene.only("ssrf").severity, Severity::Low);
    }

    #[test]
    fn near_misses() {
        // A picture from outside; an inside name and a connection that is not there, or not then.
        let mut scene = Scene::new();
        scene.user(1).call("POST", "/import", 201, naming("cdn.example", Notes::NAMES_HOST));
        scene.from("process:shop:80").to("external:203.0.113.9:80").get("/p.png", 200);
        scene.from("external:192.0.2.7").to("process:shop:80");
        scene.user(1).call("POST", "/login", 200, naming("127.0.0.1:3000", Notes::NAMES_INSIDE));
        scene.from("process:shop:80").to("process:db-api:9000").get("/", 200);
        scene.wait(5);
        scene.from("process:shop:80").to("process:late:3000").get("/", 200);
        // A neighbour that it calls all day long.
        scene.from("process:shop:80").to("process:users:8000").get("/", 200);
        scene.wait(5);
        scene.from("external:192.0.2.7").to("process:shop:80");
        scene.user(1).call("POST", "/import", 200, naming("127.0.0.1:8000", Notes::NAMES_INSIDE));
        scene.from("process:shop:80").to("process:users:8000").anonymous().get("/", 200);
        scene.nothing("ssrf");
    }
}
