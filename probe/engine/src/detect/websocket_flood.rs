//! A WebSocket whose client never pauses.

use super::{About, Detector, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::Scope;
use apisec_proto::call::Protocol;

pub(super) struct WebsocketFlood;

const ABOUT: About = About {
    id: "websocket-flood",
    owasp: "API4:2023",
    cwe: "CWE-770",
    title: "a flood of messages over a WebSocket",
    what: "One client sends far more messages over its sockets than others do.",
    why: "A limit on requests does not see messages: a socket that is open may ask for anything, as often as it likes.",
    evidence: "Messages of one actor per second over a window, against the median of others at the same endpoint.",
    remedy: "Limit messages per socket and second in the server, and close those that go on.",
    bound: "Nothing beyond every trail.",
    settings: &[
        Setting { name: "rate", default: 50.0, what: "messages per second" },
        Setting { name: "window", default: 20.0, what: "seconds, at most 120" },
        Setting { name: "times", default: 5.0, what: "how many times the median of the others" },
    ],
};

impl Detector for WebsocketFlood {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let [rate, window, times] = ["rate", "window", "times"].map(|name| cases.setting(&ABOUT, name));
        let least = rate * 10.0;
        for case in cases.fresh(Scope::Actor) {
            let endpoint = &case.key.endpoint;
            let sends = endpoint.protocol == Protocol::Websocket && endpoint.method == "SEND";
            if !sends || (case.total().calls as f64) < least {
                continue;
            }
            let recent = case.dossier.window(window);
            let seconds = (recent.last.saturating_sub(recent.first) as f64 / 1e9).max(1.0);
            let pace = recent.calls as f64 / seconds;
            let mut others: Vec<u64> =
                cases.others(&case).map(|other| other.dossier.window(window).calls).collect();
            others.sort_unstable();
            let median = others.get(others.len() / 2).copied().unwrap_or(0);
            if (recent.calls as f64) < least || pace < rate || (recent.calls as f64) < times * median as f64 {
                continue;
            }
            let accusation = Accusation::of(&case, &recent)
                .weigh(Severity::High, if others.is_empty() { 5 } else { 8 })
                .say(
                    format!("{} floods {}", case.key.caller, case.operation()),
                    format!(
                        "{} messages in {seconds:.0} s; median of {} others {median}",
                        recent.calls,
                        others.len()
                    ),
                )
                .fact("per_second", pace)
                .suggest("rate", 600);
            bench.accuse(accusation);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;
    use apisec_proto::call::{Notes, Protocol};

    fn say(scene: &mut Scene, messages: usize) {
        for _ in 0..messages {
            scene.call("SEND", "/live", 200, |call| {
                call.protocol = Protocol::Websocket;
                call.status = None;
                call.notes.add(Notes::ONE_WAY);
            });
        }
    }

    #[test]
    fn a_socket_that_never_pauses() {
        let mut scene = Scene::new();
        say(scene.user(1), 20);
        say(scene.user(2), 1_000);
        let finding = scene.only("websocket-flood");
        assert!(finding.facts["per_second"] > 90.0, "{}", finding.evidence);
    }

    #[test]
    fn near_misses() {
        // A burst that ends, and a socket that is busy all the time but not fast.
        let mut scene = Scene::new();
        say(scene.user(1), 400);
        scene.pace = 50_000_000;
        say(scene.user(2), 1_000);
        scene.nothing("websocket-flood");
    }
}
