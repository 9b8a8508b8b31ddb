//! Others on the same hooks: programs of other tools, before and after ours, and a second instance of ours.

use apisec_tests::client::curl;
use apisec_tests::neighbour::{How, Neighbour};
use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::watch::{Watch, mark};

use super::{can_run, each_once};

/// Fetches some paths under `mark` and returns them.
fn traffic(nginx: &Nginx, mark: &str, step: &str) -> Vec<String> {
    let paths: Vec<String> = (0..5).map(|n| format!("{mark}/{step}{n}")).collect();
    for path in &paths {
        curl(&[&format!("{}{path}", nginx.url())]).unwrap();
    }
    paths
}

/// Every neighbour has seen at least the packets that five exchanges must send.
#[track_caller]
fn all_count(neighbours: &[Neighbour], work: impl FnOnce()) {
    let before: Vec<u64> = neighbours.iter().map(|one| one.packets().unwrap()).collect();
    work();
    for (one, before) in neighbours.iter().zip(before) {
        let seen = one.packets().unwrap() - before;
        assert!(seen >= 20, "{one:?} saw {seen} packets");
    }
}

#[test]
fn programs_of_others_stay_and_work() {
    if !can_run("companions::programs_of_others_stay_and_work", &["nginx", "curl"]) {
        return;
    }
    let mark = mark("beside");
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let both = || [How::Link, How::Program].map(|how| Neighbour::attach(how).unwrap());
    let mut neighbours = Vec::from(both());
    let watch = Watch::calls().unwrap();
    let mut expected = Vec::new();
    all_count(&neighbours, || expected.extend(traffic(&nginx, &mark, "before-us")));
    neighbours.extend(both());
    all_count(&neighbours, || expected.extend(traffic(&nginx, &mark, "after-us")));
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, expected);
    all_count(&neighbours, || drop(traffic(&nginx, &mark, "without-us")));
}

#[test]
fn two_instances_do_not_disturb_each_other() {
    if !can_run("companions::two_instances_do_not_disturb_each_other", &["nginx", "curl"]) {
        return;
    }
    let mark = mark("instances");
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let first = Watch::calls().unwrap();
    let alone = traffic(&nginx, &mark, "alone");
    let (second, snapshot) = (Watch::calls().unwrap(), Watch::snapshot().unwrap());
    let together = traffic(&nginx, &mark, "together");
    each_once(&first.end_with_calls(&mark).unwrap(), [alone, together.clone()].concat());
    let left = traffic(&nginx, &mark, "left");
    each_once(&second.end_with_calls(&mark).unwrap(), [together, left].concat());
    let snapshot = snapshot.end_with_snapshot().unwrap();
    let ours: Vec<_> = snapshot.workloads.iter().filter(|workload| workload.name == "apisec-top").collect();
    assert!(ours.is_empty(), "an instance sees calls of another: {ours:?}");
    let id = format!("process:nginx:{}", nginx.address().port());
    let calls: u64 = snapshot.endpoints.iter().filter(|e| e.service == id).map(|e| e.calls).sum();
    assert_eq!(calls, 10);
}
