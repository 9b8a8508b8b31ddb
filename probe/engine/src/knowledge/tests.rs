use super::*;
use crate::fixture::{CallSpec, call, raw};
use crate::observe::Observer;

#[test]
fn plain_calls_come_out_as_they_went_in() {
    let mut observer = Observer::new(Limits::default());
    let spec = CallSpec {
        src: "process:curl",
        dst: "process:nginx:8080",
        path: "/users/7".into(),
        ..CallSpec::default()
    };
    for _ in 0..5 {
        observer.observe(&call(&spec), &raw());
    }
    let mut known = Knowledge::new(Limits::default(), Vec::new());
    known.merge(observer.take_delta(0, 2_000_000_000));
    let snapshot = known.snapshot(2_000_000_000);
    assert_eq!(snapshot.endpoints[0].path, "/users/{id:int}");
    assert_eq!(snapshot.endpoints[0].calls, 5);
    assert_eq!(snapshot.edges[0].src, "process:curl");
    assert_eq!(snapshot.workloads.len(), 2);
    assert_eq!(snapshot.log.len, 5);
}
