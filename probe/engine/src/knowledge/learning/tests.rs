use crate::baseline::{Norm, NormKey};
use crate::detect::scene::Scene;
use crate::finding::Severity;
use apisec_proto::call::Call;
use apisec_proto::sensitive::Sensitive;

/// A minute of eight customers who look into their carts and order.
fn minute(scene: &mut Scene, now: u64) {
    scene.from("process:web:81").to("process:shop:80");
    for user in 0..8 {
        scene.user(user).get("/cart", 200);
        (0..2).for_each(|n| scene.user(user).get(&format!("/orders/{}", 1_000 * user + now * 2 + n), 200));
    }
    // Somebody new orders, now and then.
    for user in 0..2 {
        scene.user(10_000 + 2 * now + user).get("/cart", 200);
        scene.post("/orders", 201);
    }
    scene.wait(59);
}

fn an_hour(scene: &mut Scene) {
    (0..60).for_each(|now| minute(scene, now));
}

fn norm(scene: &Scene, method: &str, path: &str) -> Norm {
    let key = NormKey {
        service: "process:shop:80".into(),
        method: method.into(),
        path: path.into(),
        ..NormKey::default()
    };
    scene.known.baseline().get(&key).cloned().unwrap_or_default()
}

fn enumerate(scene: &mut Scene, user: u64, objects: u64) {
    (0..objects).for_each(|n| scene.user(user).get(&format!("/orders/{}", 500_000 + 7 * n), 200));
}

#[test]
fn after_an_hour_less_is_enough() {
    let mut scene = Scene::new();
    minute(&mut scene, 0);
    enumerate(&mut scene, 98, 30);
    scene.nothing("bola-enumeration");
    an_hour(&mut scene);
    let norm = norm(&scene, "GET", "/orders/{id:int}");
    assert!(norm.is_ripe() && norm.objects.usual_most() < 8, "{norm:?}");
    enumerate(&mut scene, 99, 30);
    let finding = scene.only("bola-enumeration");
    assert_eq!(finding.severity, Severity::Medium);
    assert!(finding.evidence.contains("usually at most"), "{}", finding.evidence);
    // Twice as much as usual is still nothing.
    let mut scene = Scene::new();
    an_hour(&mut scene);
    enumerate(&mut scene, 99, 8);
    assert!(scene.findings().is_empty(), "{:#?}", scene.findings());
}

#[test]
fn what_is_usual_elsewhere_is_no_finding_here() {
    let busy = |scene: &mut Scene| enumerate(scene, 5, 70);
    let mut healthy = Scene::new();
    for _ in 0..70 {
        busy(&mut healthy);
        healthy.wait(60);
    }
    let mut scene = Scene::new();
    busy(&mut scene);
    assert_eq!(scene.found("bola-enumeration").len(), 1);
    // The operator said that it is the work of this one; it was learnt.
    let mut scene = Scene::new();
    let mut norm = norm(&healthy, "GET", "/orders/{id:int}");
    (0..70_u64).for_each(|n| {
        let minute = crate::baseline::Minute { calls: 70, objects: 70, ..Default::default() };
        norm.learn(n * crate::baseline::MINUTE + 1, minute);
    });
    let key = NormKey {
        service: "process:shop:80".into(),
        method: "GET".into(),
        path: "/orders/{id:int}".into(),
        ..NormKey::default()
    };
    scene.known.teach([(key, norm)]);
    busy(&mut scene);
    scene.nothing("bola-enumeration");
}

#[test]
fn an_attack_teaches_nothing() {
    let mut scene = Scene::new();
    for now in 0..60 {
        minute(&mut scene, now);
        if now >= 5 {
            scene.from("process:web:81");
            (0..300).for_each(|n| scene.user(66).get(&format!("/orders/{}", 1_000_000 + now * 300 + n), 200));
        }
    }
    let norm = norm(&scene, "GET", "/orders/{id:int}");
    assert!(norm.objects.usual_most() < 8, "{}", norm.objects.usual_most());
    assert!(norm.calls.len() > 300, "the others teach: {}", norm.calls.len());
}

#[test]
fn who_creeps_up_moves_the_norm_slowly() {
    let mut scene = Scene::new();
    an_hour(&mut scene);
    let before = norm(&scene, "GET", "/orders/{id:int}").objects.usual_most();
    // Always just below what is found: for hours.
    for now in 60..180 {
        minute(&mut scene, now);
        enumerate(&mut scene, 66, 14);
        scene.wait(1);
    }
    let after = norm(&scene, "GET", "/orders/{id:int}").objects.usual_most();
    assert!(after <= 16 * before.max(1), "{before} {after}");
    enumerate(&mut scene, 67, 80);
    assert!(!scene.found("bola-enumeration").is_empty());
}

#[test]
fn callers_are_known() {
    let mut scene = Scene::new();
    an_hour(&mut scene);
    scene.from("process:web:82").user(1).post("/orders", 201);
    scene.nothing("bfla-audience");
    scene.from("process:reports").user(1).post("/orders", 201);
    let finding = scene.only("bfla-audience");
    assert_eq!((finding.actor.as_str(), finding.severity), ("process:reports", Severity::Medium));
    assert!(finding.evidence.contains("process:web"), "{}", finding.evidence);
}

#[test]
fn a_known_edge_is_no_news_and_a_new_one_is_at_once() {
    let mut healthy = Scene::new();
    an_hour(&mut healthy);
    let norms: Vec<_> =
        healthy.known.baseline().iter().map(|(key, norm)| (key.clone(), norm.clone())).collect();
    let email = |call: &mut Call| Scene::answer(call, &[".email"], &[Sensitive::Email]);
    let mut scene = Scene::new();
    scene.known.teach(norms);
    scene.to("process:shop:80").from("process:web:84").user(1).call("GET", "/cart", 200, email);
    scene.nothing("lateral-movement");
    scene.from("process:reports").user(1).call("GET", "/cart", 200, email);
    assert_eq!(scene.only("lateral-movement").actor, "process:reports");
}

#[test]
fn an_order_without_a_cart() {
    let mut scene = Scene::new();
    an_hour(&mut scene);
    assert!(norm(&scene, "POST", "/orders").way().any(|(step, _)| step == "GET /cart"));
    scene.user(20_000).get("/cart", 200);
    scene.post("/orders", 201);
    scene.nothing("logic-sequence");
    scene.user(20_001).post("/orders", 201);
    let finding = scene.only("logic-sequence");
    assert!(finding.evidence.contains("without GET /cart"), "{}", finding.evidence);
}

#[test]
fn a_usual_rush_is_none_and_an_unusual_one_is_found_early() {
    let mut scene = Scene::new();
    an_hour(&mut scene);
    scene.pace = 1_000_000;
    (0..150).for_each(|_| scene.user(99).get("/cart", 200));
    let finding = scene.only("consumption");
    assert_eq!(finding.severity, Severity::Medium);
    assert!(finding.evidence.contains("usually at most"), "{}", finding.evidence);
}
