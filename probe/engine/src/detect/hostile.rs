//! Clients that know of us: they flood, drip, pretend to be others, and write what is not meant to be read.

use super::scene::{Scene, word};
use crate::degradation::Degradation;
use crate::finding::{Confidence, Finding, Severity};

fn enumerate(scene: &mut Scene, user: u64) {
    (0..60).for_each(|order| scene.user(user).get(&format!("/orders/{order}"), 200));
}

/// The owner of five orders each.
fn owners(scene: &mut Scene) {
    for user in 1_000..1_010 {
        (0..5).for_each(|n| scene.user(user).get(&format!("/orders/{}", 10_000 + user * 10 + n), 200));
    }
}

fn enumerators(scene: &mut Scene) -> Vec<Finding> {
    let found = scene.found("bola-enumeration");
    found.into_iter().filter(|finding| finding.path.starts_with("/orders/")).collect()
}

fn trail_cap(scene: &mut Scene) -> Option<Degradation> {
    scene.turn();
    let snapshot = scene.known.snapshot(scene.at);
    snapshot.capture.degradations.iter().find(|known| known.code == "trail-cap").cloned()
}

#[test]
fn paths_that_somebody_makes_up_blind_nobody() {
    let mut scene = Scene::new();
    scene.pace = 1_000_000;
    owners(&mut scene);
    scene.from("external:198.51.100.66");
    (0..40_000).for_each(|n| scene.user(66).get(&format!("/{}/{}", word(n / 200), word(n % 200)), 200));
    scene.from("external:192.0.2.7");
    enumerate(&mut scene, 7);
    let found = enumerators(&mut scene);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].actor, "external:192.0.2.7");
    assert!(trail_cap(&mut scene).is_some_and(|cap| cap.what.contains("calls")), "nothing is lost silently");
}

#[test]
fn who_makes_up_paths_is_still_seen_to_enumerate() {
    let mut scene = Scene::new();
    scene.pace = 1_000_000;
    owners(&mut scene);
    scene.from("external:198.51.100.66");
    for n in 0..30_000 {
        scene.user(66).get(&format!("/{}/{}", word(n / 200), word(n % 200)), 200);
        if n % 500 == 0 {
            scene.user(66).get(&format!("/orders/{}", n / 500), 200);
        }
    }
    assert_eq!(enumerators(&mut scene).len(), 1);
}

#[test]
fn identities_that_somebody_makes_up_blind_nobody() {
    let mut scene = Scene::new();
    scene.pace = 1_000_000;
    owners(&mut scene);
    // Of one address, and of many; through the proxy that the enumerator comes through too.
    scene.from("external:198.51.100.66");
    (0..30_000).for_each(|user| scene.user(100_000 + user).get("/orders/1", 401));
    scene.from("external:192.0.2.7");
    for n in 0..30_000 {
        scene.user(200_000 + n).get("/orders/1", 401);
        if n % 500 == 0 {
            scene.user(7).get(&format!("/orders/{}", n / 500), 200);
        }
    }
    let found = enumerators(&mut scene);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].actor.as_str(), found[0].severity), ("external:192.0.2.7", Severity::High));
    assert!(trail_cap(&mut scene).is_some());
}

#[test]
fn callers_without_end_blind_nobody() {
    let mut scene = Scene::new();
    scene.pace = 1_000_000;
    owners(&mut scene);
    for n in 0..20_000_u32 {
        let address: &'static str = format!("external:2001:db8::{n:x}").leak();
        scene.from(address).user(u64::from(n)).get("/orders/1", 200);
        if n % 250 == 0 {
            scene.from("external:192.0.2.7").user(7).get(&format!("/orders/{}", n / 250), 200);
        }
    }
    let found = enumerators(&mut scene);
    assert!(found.iter().any(|finding| finding.actor == "external:192.0.2.7"), "{found:#?}");
}

#[test]
fn a_flood_within_one_second_leaves_room_for_others() {
    let mut scene = Scene::new();
    owners(&mut scene);
    scene.pace = 10_000;
    for n in 0..60_000 {
        scene.from("external:198.51.100.66").user(100_000 + n).get("/orders/1", 401);
        if n % 1_000 == 999 {
            scene.from("external:192.0.2.7").user(7).get(&format!("/orders/{}", n / 1_000), 200);
        }
    }
    assert_eq!(enumerators(&mut scene).len(), 1);
}

#[test]
fn what_drips_is_found_in_the_end() {
    let mut scene = Scene::new();
    owners(&mut scene);
    for n in 0..210 {
        scene.user(7).get(&format!("/orders/{n}"), 200);
        scene.log_in(5, n, 401);
        scene.from("external:192.0.2.8").log_in(1_000 + n, 1, 401);
        scene.from("external:192.0.2.7").wait(25);
    }
    assert_eq!(enumerators(&mut scene).len(), 1);
    assert_eq!(scene.only("auth-brute-force").actor, "external:192.0.2.7");
    assert_eq!(scene.only("auth-credential-stuffing").actor, "external:192.0.2.8");
}

#[test]
fn who_mistypes_for_months_is_no_attacker() {
    let mut scene = Scene::new();
    for n in 0..210 {
        scene.log_in(n % 20, n, 401);
        scene.log_in(n % 20, 9_999, 200);
        scene.wait(25);
    }
    scene.nothing("auth-brute-force");
    scene.nothing("auth-credential-stuffing");
}

#[test]
fn a_name_that_the_server_did_not_believe_is_no_proof() {
    let mut scene = Scene::new();
    owners(&mut scene);
    // The victim goes about its business; somebody else claims to be it, in vain.
    scene.user(1).get("/orders/77", 200);
    scene.from("external:198.51.100.66");
    (0..80).for_each(|order| scene.user(1).get(&format!("/orders/{order}"), 401));
    let found = enumerators(&mut scene);
    assert_eq!(found.len(), 1, "{found:#?}");
    let finding = &found[0];
    assert!(finding.confidence < Confidence::High && finding.severity <= Severity::Medium, "{finding:#?}");
    assert!(finding.evidence.contains("may be somebody else"), "{}", finding.evidence);
    assert_eq!((finding.suggestion.kind.as_str(), finding.suggestion.identity.as_str()), ("rate", ""));
    assert_eq!(finding.suggestion.caller, "external:198.51.100.66");
}
