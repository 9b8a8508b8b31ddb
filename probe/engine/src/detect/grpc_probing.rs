//! Somebody feels their way through a gRPC server: its reflection, and methods that are not there.

use super::{About, Cues, Detector, Notebook, Seen, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::fingerprint;
use crate::trail::{Mark, Scope};
use apisec_proto::call::{Notes, Protocol};

pub(super) struct GrpcProbing;

const ABOUT: About = About {
    id: "grpc-probing",
    owasp: "API9:2023",
    cwe: "CWE-200",
    title: "a gRPC server is being mapped",
    what: "A client asks the reflection service what there is, or calls one method after the other that is not implemented.",
    why: "Reflection is the map of a server; without it, names are tried as paths are elsewhere.",
    evidence: "Calls of the reflection service that were answered; distinct methods answered with UNIMPLEMENTED.",
    remedy: "Switch reflection off in production; block the client.",
    bound: "Two counts per actor and method.",
    settings: &[Setting { name: "methods", default: 8.0, what: "methods that are not there, by one client" }],
};

const REFLECTED: Mark = Mark::new("grpc-probing.reflected");
const UNKNOWN: Mark = Mark::new("grpc-probing.unknown");
/// gRPC's code for a method that is not there.
const UNIMPLEMENTED: i32 = 12;

impl Detector for GrpcProbing {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::GRPC
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        if seen.call.protocol != Protocol::Grpc {
            return;
        }
        let unknown = seen.call.app_status == Some(UNIMPLEMENTED);
        let reflected = seen.call.notes.any(Notes::REFLECTION) && !unknown;
        if (unknown || reflected)
            && let Some(trail) = notebook.actor()
        {
            trail.count(REFLECTED, u64::from(reflected));
            if unknown {
                trail.insert(UNKNOWN, fingerprint::of(seen.call.path.as_bytes()));
            }
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let methods = cases.setting(&ABOUT, "methods") as u64;
        for case in cases.fresh(Scope::Client) {
            let (reflected, unknown) = (case.total().counted(REFLECTED), case.total().distinct(UNKNOWN));
            if reflected == 0 && unknown < methods {
                continue;
            }
            let severity = if reflected > 0 { Severity::Medium } else { Severity::Low };
            let accusation = Accusation::of(&case, case.total())
                .weigh(severity, 7)
                .say(
                    format!("{} maps the gRPC server {}", case.key.caller, case.key.endpoint.service),
                    format!("{reflected} answered calls of the reflection service; {unknown} methods that are not there"),
                )
                .fact("reflected", reflected as f64)
                .fact("unknown", unknown as f64)
                .suggest("identity", 0);
            bench.accuse(accusation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    fn unknown(scene: &mut Scene, methods: usize) {
        for method in 0..methods {
            scene.user(1).call(
                "POST",
                &format!("/shop.Stock/Method{}", crate::detect::scene::word(method)),
                200,
                |call| {
                    call.protocol = Protocol::Grpc;
                    (call.app_status, call.failed) = (Some(UNIMPLEMENTED), true);
                },
            );
        }
    }

    #[test]
    fn one_method_after_the_other() {
        let mut scene = Scene::new();
        unknown(&mut scene, 9);
        assert_eq!(scene.only("grpc-probing").facts["unknown"], 9.0);
        scene.user(1).call(
            "POST",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            200,
            |call| {
                call.protocol = Protocol::Grpc;
                call.notes.add(Notes::REFLECTION);
            },
        );
        assert_eq!(scene.only("grpc-probing").severity, Severity::Medium);
    }

    #[test]
    fn near_misses() {
        // A client that is newer than its server, and reflection that is switched off.
        let mut scene = Scene::new();
        unknown(&mut scene, 7);
        scene.nothing("grpc-probing");
    }
}
