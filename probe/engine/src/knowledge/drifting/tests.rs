//! Drift over the whole way: calls, a specification, time.

use super::super::*;
use crate::drift::Given;
use crate::fixture::{CallSpec, call, party};
use crate::observe::Observer;
use crate::snapshot::Drift::{self, Active, Orphan, Shadow, Unconfirmed, Unspecified, Zombie};
use crate::spec::{Documents, read};
use apisec_proto::call::Call;
use serde_json::json;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;

fn given(service: Option<&str>) -> Vec<Given> {
    let users = json!({
        "parameters": [{"name": "user", "in": "path", "schema": {"type": "integer"}}],
        "get": {"operationId": "profile", "tags": ["people"], "responses": {"200": {"content": {"application/json": {}}}}},
        "delete": {"deprecated": true, "responses": {}}
    });
    let document = json!({"openapi": "3.1.0", "info": {"title": "Server API"}, "paths": {
        "/users/{user}": users, "/users/me": {"get": {}}, "/names/{name}": {"get": {}}}});
    let spec = Arc::new(read(&Documents::new("users.yaml", document)));
    vec![Given { spec, service: service.map(str::to_owned), ..Given::default() }]
}

fn known(service: Option<&str>) -> Knowledge {
    let mut known = Knowledge::new(Limits::default(), Vec::new());
    known.apply(Command::Specify(given(service)));
    known
}

fn merge(known: &mut Knowledge, calls: &[(&'static str, &str, u16)]) {
    merge_changed(known, calls, |_| {});
}

fn merge_changed(known: &mut Knowledge, calls: &[(&'static str, &str, u16)], change: impl Fn(&mut Call)) {
    let mut observer = Observer::new(Limits::default());
    for (method, path, status) in calls {
        let mut call =
            call(&CallSpec { method, path: (*path).into(), status: Some(*status), ..CallSpec::default() });
        change(&mut call);
        observer.observe(&call);
    }
    known.merge(observer.take_delta(SECOND, 2 * SECOND));
}

fn states(known: &mut Knowledge, now: u64) -> Vec<(String, Drift, u64)> {
    let snapshot = known.snapshot(now);
    let state =
        |row: &crate::snapshot::EndpointView| (format!("{} {}", row.method, row.path), row.drift, row.calls);
    snapshot.endpoints.iter().map(state).collect()
}

fn state(method: &str, drift: Drift, calls: u64) -> (String, Drift, u64) {
    (method.to_owned(), drift, calls)
}

#[test]
fn every_state_of_the_table() {
    let mut known = known(Some("process:server:80"));
    merge(
        &mut known,
        &[
            ("GET", "/users/7", 200),
            ("GET", "/users/8", 404),
            ("PATCH", "/users/7", 200),
            ("GET", "/admin", 401),
            ("GET", "/nothing", 404),
            ("GET", "/users/undefined", 422),
            ("GET", "/users/export", 200),
        ],
    );
    let expected = [
        state("GET /admin", Unconfirmed, 1),
        state("GET /names/{name}", Orphan, 0),
        state("GET /nothing", Unspecified, 1),
        state("GET /users/export", Shadow, 1),
        state("GET /users/me", Orphan, 0),
        state("DELETE /users/{user}", Orphan, 0),
        state("GET /users/{user}", Active, 3),
        state("PATCH /users/{user}", Shadow, 1),
    ];
    assert_eq!(states(&mut known, 3 * SECOND), expected);
    let snapshot = known.snapshot(3 * SECOND);
    let counts = |word: &str| snapshot.inventory.states[word];
    assert_eq!((counts("active"), counts("shadow"), counts("orphan")), (1, 2, 3));
    let active = snapshot.endpoints.iter().find(|row| row.drift == Active).unwrap();
    assert_eq!(
        (active.documentation.id.as_str(), active.documentation.owner.as_str()),
        ("profile", "people")
    );
    assert_eq!(active.documentation.differences, ["status 422"]);
    assert!(active.schema_drift && snapshot.inventory.schema_drift == 1);
}

#[test]
fn a_refused_value_becomes_a_shadow_when_it_is_accepted() {
    let mut known = known(Some("process:server:80"));
    merge(&mut known, &[("GET", "/users/export", 422)]);
    assert!(states(&mut known, 3 * SECOND).contains(&state("GET /users/{user}", Active, 1)));
    merge(&mut known, &[("GET", "/users/export", 200)]);
    let states = states(&mut known, 4 * SECOND);
    assert!(states.contains(&state("GET /users/export", Shadow, 2)), "{states:?}");
    assert!(states.contains(&state("GET /users/{user}", Orphan, 0)));
}

#[test]
fn documented_names_fold_at_once_and_deprecated_calls_are_flagged() {
    let mut known = known(Some("process:server:80"));
    merge(
        &mut known,
        &[("GET", "/names/alice", 200), ("GET", "/names/bob", 200), ("DELETE", "/users/7", 204)],
    );
    let snapshot = known.snapshot(3 * SECOND);
    let row = |path: &str, method: &str| {
        snapshot.endpoints.iter().find(|row| row.path == path && row.method == method).unwrap()
    };
    assert_eq!(
        (row("/names/{name}", "GET").calls, row("/names/{name}", "GET").parameter_cardinality[0]),
        (2, 2)
    );
    assert!(row("/users/{user}", "DELETE").deprecated_in_use);
    assert_eq!(snapshot.inventory.deprecated_in_use, 1);
}

#[test]
fn without_a_specification_nothing_changes() {
    let mut known = known(Some("process:other:80"));
    merge(&mut known, &[("GET", "/users/7", 200)]);
    assert_eq!(states(&mut known, 3 * SECOND), [state("GET /users/{id:int}", Unspecified, 1)]);
    let snapshot = known.snapshot(3 * SECOND);
    assert!(snapshot.capture.degradations.iter().any(|said| said.code == "specification-unbound"));
    known.apply(Command::Specify(given(Some("process:server:80"))));
    assert!(states(&mut known, 4 * SECOND).contains(&state("GET /users/{user}", Active, 1)));
    known.apply(Command::Specify(Vec::new()));
    assert_eq!(states(&mut known, 5 * SECOND), [state("GET /users/{id:int}", Unspecified, 1)]);
}

#[test]
fn a_host_that_is_asked_for_later_binds() {
    let mut known = known(Some("api.test"));
    merge(&mut known, &[("GET", "/users/7", 200)]);
    assert_eq!(states(&mut known, 3 * SECOND), [state("GET /users/{id:int}", Unspecified, 1)]);
    merge_changed(&mut known, &[("GET", "/users/7", 200)], |call| call.host = "api.test".into());
    let snapshot = known.snapshot(4 * SECOND);
    assert!(snapshot.endpoints.iter().any(|row| row.drift == Active));
    assert_eq!(snapshot.specifications[0].services[0].by, "operator");
}

fn remembered(path: &str, last: u64) -> Remembered {
    let key = EndpointKey {
        service: "process:server:80".into(),
        path: path.into(),
        method: "GET".into(),
        operation: Default::default(),
        protocol: Protocol::Http1,
        vantage: Vantage::Server,
    };
    Remembered { key, past: Past { first: SECOND, last, calls: 5, accepted: true } }
}

#[test]
fn the_stored_history_tells_zombies_from_orphans() {
    let mut known = known(Some("server"));
    known.zombie_after(HOUR);
    known.remember(vec![
        remembered("/users/{id:int}", 100 * HOUR),
        remembered("/names/alice", HOUR),
        remembered("/names/bob", 2 * HOUR),
        remembered("/forgotten", 2 * HOUR),
    ]);
    let states = states(&mut known, 100 * HOUR + SECOND);
    let expected = [
        state("GET /names/{name}", Zombie, 0),
        state("GET /users/me", Orphan, 0),
        state("DELETE /users/{user}", Orphan, 0),
        state("GET /users/{user}", Active, 0),
    ];
    assert_eq!(states, expected);
    let snapshot = known.snapshot(102 * HOUR);
    let row = snapshot.endpoints.iter().find(|row| row.path == "/names/{name}").unwrap();
    assert_eq!((row.history.calls, row.history.last_seen, row.first_seen), (10, 2 * HOUR, 0));
    assert_eq!((snapshot.inventory.since_ns, snapshot.inventory.zombie_after_s), (SECOND, 3_600));
    assert_eq!(snapshot.endpoints.iter().filter(|row| row.drift == Zombie).count(), 2);
}

#[test]
fn a_guess_that_may_be_wrong_is_said_and_the_operator_has_the_last_word() {
    let document =
        json!({"openapi": "3.1.0", "info": {"title": "Orders"}, "paths": {"/orders": {"get": {}}}});
    let spec = Arc::new(read(&Documents::new("orders.yaml", document)));
    let given = Given { spec, ..Given::default() };
    let mut known = Knowledge::new(Limits::default(), Vec::new());
    known.apply(Command::Specify(vec![given.clone()]));
    let paths = ["/a", "/b", "/c", "/d", "/e"];
    for service in ["process:orders:1", "process:orders:2"] {
        let calls: Vec<_> = paths.iter().map(|path| ("GET", *path, 200)).collect();
        merge_changed(&mut known, &calls, |call| {
            call.dst = party(service);
            Arc::make_mut(&mut call.dst.workload).name = "orders".into();
        });
    }
    let codes = |known: &mut Knowledge| -> Vec<String> {
        let degradations = known.snapshot(3 * SECOND).capture.degradations.clone();
        degradations
            .iter()
            .map(|own| own.code.to_string())
            .filter(|code| code.contains("specification"))
            .collect()
    };
    let doubtful = "specification-doubtful";
    assert_eq!(codes(&mut known), ["specification-ambiguous", doubtful, doubtful]);
    let chosen = [("process:orders:2".to_owned(), true)].into();
    known.apply(Command::Specify(vec![Given { chosen, ..given }]));
    assert_eq!(codes(&mut known), [""; 0]);
    let services = &known.snapshot(3 * SECOND).specifications[0].services;
    assert_eq!((services.len(), services[0].by.as_str(), services[0].undocumented), (1, "operator", 5));
}
