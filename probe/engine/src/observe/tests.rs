use super::*;
use crate::fixture::{CallSpec, call, raw};

#[test]
fn counts_what_it_sees() {
    let mut observer = Observer::new(Limits::default());
    for number in 0..10_u64 {
        observer.observe(
            &call(&CallSpec { path: format!("/users/{number}"), at: 1_000 + number, ..CallSpec::default() }),
            &raw(),
        );
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
