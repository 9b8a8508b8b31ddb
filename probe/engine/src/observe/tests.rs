use super::*;
use crate::fixture::{CallSpec, call};

#[test]
fn counts_what_it_sees() {
    let mut observer = Observer::new(Limits::default());
    for number in 0..10_u64 {
        observer.observe(&call(&CallSpec {
            path: format!("/users/{number}"),
            at: 1_000 + number,
            ..CallSpec::default()
        }));
    }
    let delta = observer.take_delta(0, 2_000);
    assert_eq!(delta.endpoints.len(), 1);
    let (key, stats) = &delta.endpoints[0];
    assert_eq!((&*key.path, key.method.as_str(), stats.load.calls), ("/users/{id:int}", "GET", 10));
    assert_eq!(stats.values[0].count(), 10);
    assert_eq!(delta.calls(), 10);
    assert_eq!(delta.log[0].rows.len(), 10);
    assert_eq!(delta.log[0].path(&delta.log[0].rows[3]), "/users/3");
    assert_eq!(observer.take_delta(2_000, 3_000), Delta { from: 2_000, to: 3_000, ..Delta::default() });
}

#[test]
fn a_split_shows_values_from_now_on() {
    let mut observer = Observer::new(Limits::default());
    let seen = call(&CallSpec { path: "/v/2026/parts/7".into(), ..CallSpec::default() });
    observer.observe(&seen);
    assert_eq!(observer.endpoint(), "/v/{id:int}/parts/{id:int}");
    let service = seen.dst.workload.id.to_string();
    observer.follow(&[TemplateRule::Split { service, path: "/v/{id:int}".into() }]);
    observer.observe(&seen);
    assert_eq!(observer.endpoint(), "/v/2026/parts/{id:int}");
    observer.follow(&[]);
    observer.observe(&seen);
    assert_eq!(observer.endpoint(), "/v/{id:int}/parts/{id:int}");
    let delta = observer.take_delta(0, 1);
    let values: Vec<u64> = delta.endpoints.iter().map(|(_, stats)| stats.values.len() as u64).collect();
    assert_eq!(values, [2, 1]);
}

#[test]
fn a_node_forgets_what_is_idle_and_counts_what_does_not_fit() {
    let limits = Limits { endpoints_per_delta: 100, ..Limits::default() };
    let mut observer = Observer::new(limits);
    for number in 0..250 {
        observer.observe(&call(&CallSpec { path: format!("/list.x{number}"), ..CallSpec::default() }));
    }
    let delta = observer.take_delta(0, 1);
    let calls: u64 = delta.endpoints.iter().map(|(_, stats)| stats.load.calls).sum();
    assert_eq!((delta.endpoints.len(), calls, delta.overflowed), (101, 250, 150));
    assert_eq!(observer.operations.len(), 0);
    observer.observe(&call(&CallSpec::default()));
    assert_eq!(observer.take_delta(1, 2).calls(), 1);
}
