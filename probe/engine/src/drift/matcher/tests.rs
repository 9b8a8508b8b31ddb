//! What matches what, and that nothing else does.

use super::*;
use crate::spec::{Documents, read};
use proptest::prelude::*;
use serde_json::{Map, json};

/// A matcher of `METHOD /path`, with the place in the list as the operation's number. Parameters called
/// `number`, `uuid` and `date` are such.
fn matcher(base: &str, documented: &[&str]) -> Matcher {
    let mut matcher = Matcher::default();
    for (number, operation) in documented.iter().enumerate() {
        let (method, path) = operation.split_once(' ').unwrap();
        let parameter = |name: &str, schema| json!({"name": name, "in": "path", "schema": schema});
        let parameters = [
            parameter("number", json!({"type": "integer"})),
            parameter("uuid", json!({"type": "string", "format": "uuid"})),
            parameter("date", json!({"type": "string", "format": "date"})),
        ];
        let item = Map::from_iter([(method.to_lowercase(), json!({"parameters": parameters}))]);
        let document = json!({"openapi": "3.1.0", "paths": {path: item}});
        let spec = read(&Documents::new("a", document));
        matcher.add(base, &spec.operations[0], number as u32);
    }
    matcher
}

/// The documented operation of `METHOD /path`, typed as an observer types it.
fn found<'d>(matcher: &Matcher, documented: &[&'d str], call: &str) -> Option<&'d str> {
    let (method, path) = call.split_once(' ').unwrap();
    let mut typed = String::new();
    type_path(path, &mut typed, |_| {});
    matcher.find(method, &typed)?.operation.map(|number| documented[number as usize])
}

fn check(documented: &[&str], expected: &[(&str, Option<&str>)]) {
    let matcher = matcher("", documented);
    for (call, operation) in expected {
        assert_eq!(found(&matcher, documented, call), *operation, "{call}");
    }
}

#[test]
fn a_literal_beats_a_parameter_and_a_method_beats_both() {
    check(
        &["GET /users/{user}", "GET /users/me", "DELETE /users/{user}", "GET /{any}/me", "GET /"],
        &[
            ("GET /users/17", Some("GET /users/{user}")),
            ("GET /users/me", Some("GET /users/me")),
            ("DELETE /users/me", Some("DELETE /users/{user}")),
            ("GET /shops/me", Some("GET /{any}/me")),
            ("GET /shops/you", None),
            ("GET /", Some("GET /")),
            ("GET /users", None),
            ("GET /users/me/x", None),
        ],
    );
}

#[test]
fn slashes_matrix_parameters_encoding_and_head() {
    check(
        &["GET /a b/{x}", "GET /maps/{x};{y}/tiles", "POST /a b/{x}"],
        &[
            ("GET /a%20b/7/", Some("GET /a b/{x}")),
            ("HEAD /a%20b/7", Some("GET /a b/{x}")),
            ("GET /maps/7;v=2/tiles;z=1", Some("GET /maps/{x};{y}/tiles")),
            ("PUT /a%20b/7", None),
        ],
    );
}

#[test]
fn values_in_frames() {
    check(
        &[
            "GET /files/{name}.json",
            "GET /files/{name}",
            "POST /jobs/{id}:cancel",
            "GET /Users({id})",
            "GET /v{n}/x",
        ],
        &[
            ("GET /files/report.json", Some("GET /files/{name}.json")),
            ("GET /files/17.json", Some("GET /files/{name}.json")),
            ("GET /files/report", Some("GET /files/{name}")),
            ("POST /jobs/17:cancel", Some("POST /jobs/{id}:cancel")),
            ("GET /Users(17)", Some("GET /Users({id})")),
            ("GET /v2/x", Some("GET /v{n}/x")),
            ("GET /v/x", None),
        ],
    );
}

#[test]
fn documented_literals_that_look_like_values() {
    check(
        &["GET /reports/2024-01-31", "GET /at/{when}", "GET /at/2024-01-31"],
        &[
            ("GET /reports/2024-01-31", Some("GET /reports/2024-01-31")),
            // The observer cannot tell it from other dates: the parameter takes all of them.
            ("GET /at/2024-01-31", Some("GET /at/{when}")),
        ],
    );
}

#[test]
fn the_rest_of_a_path() {
    check(
        &["GET /files/{path*}", "GET /files/index", "GET /aws/{proxy+}", "GET /express/:id"],
        &[
            ("GET /files/a/b/c", Some("GET /files/{path*}")),
            ("GET /files/index", Some("GET /files/index")),
            ("GET /files", None),
            ("GET /aws/x", Some("GET /aws/{proxy+}")),
            ("GET /express/7", Some("GET /express/:id")),
        ],
    );
}

#[test]
fn a_number_is_no_word_unless_nothing_else_fits() {
    let documented = ["GET /orders/{number}", "GET /orders/{uuid}", "GET /reports/{date}"];
    let matcher = matcher("", &documented);
    let find = |path: &str| matcher.find("GET", path).unwrap();
    assert!(!find("/orders/{id:int}").loose && !find("/orders/17").loose);
    assert_eq!(find("/orders/{id:uuid}").operation, Some(1));
    assert!(find("/orders/export").loose);
    assert!(!find("/reports/{date}").loose && find("/reports/today").loose);
}

#[test]
fn letter_case_is_ignored_last() {
    let documented = ["GET /Users/{id}", "GET /users/list", "GET /admin"];
    let matcher = matcher("/V1", &documented);
    let find = |path: &str| matcher.find("GET", path);
    assert_eq!(
        find("/V1/Users/7").unwrap(),
        Found { route: 0, operation: Some(0), loose: false, other_case: false }
    );
    assert_eq!(
        find("/v1/admin").unwrap(),
        Found { route: 2, operation: Some(2), loose: false, other_case: true }
    );
    assert!(find("/V1/ADMIN").unwrap().other_case && find("/V2/admin").is_none());
}

#[test]
fn a_method_that_is_not_documented_still_has_a_path() {
    let matcher = matcher("", &["GET /users/{user}"]);
    let found = matcher.find("PATCH", "/users/{id:int}").unwrap();
    assert_eq!((found.operation, &*matcher.routes()[found.route as usize].path), (None, "/users/{user}"));
}

#[test]
fn a_second_document_of_the_same_operation_is_noticed() {
    let mut matcher = matcher("", &["GET /users/{user}"]);
    let again = Operation { method: "GET".into(), path: "/users/{id}/".into(), ..Operation::default() };
    assert!(!matcher.add("", &again, 1));
}

#[test]
fn an_ambiguous_trie_ends_the_search() {
    let mut documented = Vec::new();
    for bits in 0..4096_u32 {
        let path: String = (0..12).map(|bit| if bits & (1 << bit) == 0 { "/a" } else { "/{x}" }).collect();
        documented.push(format!("GET {path}/end"));
    }
    let documented: Vec<&str> = documented.iter().map(String::as_str).collect();
    let matcher = matcher("", &documented);
    assert!(matcher.find("GET", &format!("{}/nowhere", "/a".repeat(12))).is_none());
    assert!(matcher.find("GET", &format!("{}/end", "/a".repeat(12))).is_some());
}

proptest! {
    /// Every documented path is found when its parameters are filled with a word that no literal has.
    #[test]
    fn what_is_documented_is_found(
        paths in prop::collection::vec("(/([ab]|\\{[xy]\\}|\\{x\\}\\.json)){1,5}", 1..30),
        pick in any::<prop::sample::Index>(),
    ) {
        let documented: Vec<String> = paths.iter().map(|path| format!("GET {path}")).collect();
        let documented: Vec<&str> = documented.iter().map(String::as_str).collect();
        let matcher = matcher("", &documented);
        let call = pick.get(&paths).replace("{x}", "word").replace("{y}", "word");
        prop_assert!(matcher.find("GET", &call).is_some_and(|found| found.operation.is_some()), "{}", call);
    }

    #[test]
    fn no_path_is_too_strange(path in "[/{}a.:;*%\u{e9}]{0,40}", documented in "(/[{}a.:;*+%]{0,6}){1,4}") {
        let documented = format!("GET {documented}");
        let matcher = matcher("", &[&documented]);
        let _found = matcher.find("GET", &path);
    }
}
