//! GraphQL requests in every way to send them, and what only looks like one.

use crate::call::{Call, GraphqlCost, Notes, Protocol};
use crate::fixture::{exchange, named};

const JSON: &str = "application/json";

fn post(request: &str, answer: &str) -> Call {
    named(&exchange("POST", "/graphql", JSON, request, 200, JSON, answer))
}

fn leaf(call: &Call) -> String {
    format!("{:?} {} {} {}", call.protocol, call.method, call.path, call.operation)
}

#[test]
fn root_fields_are_the_operation() {
    let call = post(
        r#"{"query":"query Shop($n: Int) {\n  users(first: $n) { id }\n  orders { id, total: sum }\n}","variables":{"n":3}}"#,
        r#"{"data":{"users":[]}}"#,
    );
    assert_eq!(leaf(&call), "Graphql QUERY /graphql orders,users");
    let cost = GraphqlCost { depth: 2, aliases: 1, tokens: 27, batch: 1 };
    assert_eq!(call.graphql.as_deref(), Some(&cost));
    assert!(!call.is_error());
    let call = post(r#"{"operationName":"B","query":"query A { a } mutation B { b }"}"#, r#"{"data":null}"#);
    assert_eq!(leaf(&call), "Graphql MUTATION /graphql b");
}

#[test]
fn errors_with_200_are_failures() {
    let call = post(
        r#"{"query":"{ user { name } }"}"#,
        r#"{"errors":[{"message":"x"},{"message":"y"}],"data":{"user":null}}"#,
    );
    assert_eq!(
        (leaf(&call), call.app_status, call.failed),
        ("Graphql QUERY /graphql user".into(), Some(2), true)
    );
    assert!(call.is_error());
    let call = post(r#"{"query":"{ a81 }"}"#, r#"{"errors":[{"message":"Cannot query field"}]}"#);
    assert_eq!((leaf(&call), call.app_status), ("Graphql QUERY /graphql {invalid}".into(), Some(1)));
}

#[test]
fn get_batch_raw_and_multipart() {
    let get = exchange(
        "GET",
        "/graphql?query=%7B%20users%20%7B+id+%7D+%7D&variables=%7B%7D",
        "",
        "",
        200,
        JSON,
        r#"{"data":{}}"#,
    );
    assert_eq!(leaf(&named(&get)), "Graphql QUERY /graphql users");
    let call = post(
        r#"[{"query":"{ a }"},{"query":"mutation { b }"}]"#,
        r#"[{"data":{}},{"errors":[{}],"data":null}]"#,
    );
    assert_eq!(leaf(&call), "Graphql QUERY /graphql a");
    assert!(call.notes.any(Notes::BATCH) && call.failed && call.graphql.as_ref().unwrap().batch == 2);
    let raw = exchange("POST", "/q", "application/graphql", "{ users { id } }", 200, JSON, r#"{"data":{}}"#);
    assert_eq!(leaf(&named(&raw)), "Graphql QUERY /q users");
    let body = "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n\
        {\"query\":\"mutation($f: Upload!) { upload(file: $f) }\"}\r\n--x\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{}\r\n--x--";
    let multipart =
        exchange("POST", "/graphql", "multipart/form-data; boundary=x", body, 200, JSON, r#"{"data":{}}"#);
    assert_eq!(leaf(&named(&multipart)), "Graphql MUTATION /graphql upload");
}

/// Where nothing was executed some servers say that there is no data; what was executed says where it failed.
#[test]
fn a_refused_document_has_no_name_whatever_the_server_says_of_its_data() {
    let refused = r#"{"data":null,"errors":[{"message":"Cannot query field 'nonsense' on type 'Query'."}]}"#;
    assert_eq!(leaf(&post(r#"{"query":"{ nonsense }"}"#, refused)), "Graphql QUERY /graphql {invalid}");
    let failed = r#"{"data":null,"errors":[{"message":"no","path":["broken"]}]}"#;
    assert_eq!(leaf(&post(r#"{"query":"{ broken }"}"#, failed)), "Graphql QUERY /graphql broken");
}

#[test]
fn a_document_in_the_query_is_found_however_it_is_encoded() {
    for query in [
        "%7b+users+%7b+name+%7d+%7d",
        "%7B%20users%20%7Bname%7D%7D",
        "%0Aquery%20All%7busers%7bname%7d%7d",
        "{users{name}}",
    ] {
        let target = format!("/graphql?query={query}");
        let call = named(&exchange("GET", &target, "", "", 200, JSON, r#"{"data":{}}"#));
        assert_eq!(leaf(&call), "Graphql QUERY /graphql users", "{query}");
    }
}

#[test]
fn persisted_queries_are_called_by_their_name() {
    let request = r#"{"operationName":"GetCart","variables":{},"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38"}}}"#;
    let call = post(request, r#"{"data":{}}"#);
    assert_eq!(leaf(&call), "Graphql POST /graphql GetCart");
    assert!(call.notes.any(Notes::PERSISTED));
}

#[test]
fn introspection_is_noted() {
    let call =
        post(r#"{"query":"query IntrospectionQuery { __schema { types { name } } }"}"#, r#"{"data":{}}"#);
    assert!(call.notes.any(Notes::INTROSPECTION));
    assert!(!post(r#"{"query":"{ __typename users }"}"#, r#"{"data":{}}"#).notes.any(Notes::INTROSPECTION));
}

#[test]
fn a_body_that_was_cut_still_names_what_was_there() {
    let call = post(r#"{"query":"query { users { id name } orders { id } ca"#, r#"{"data":{}}"#);
    assert_eq!(leaf(&call), "Graphql QUERY /graphql orders,users");
}

#[test]
fn a_compressed_answer_is_still_a_failure() {
    use flate2::{Compress, Compression, FlushCompress};
    let mut packed = Vec::with_capacity(200);
    let answer = br#"{"errors":[{"message":"x","path":["user"]}],"data":null}"#;
    Compress::new(Compression::fast(), false)
        .compress_vec(answer, &mut packed, FlushCompress::Finish)
        .unwrap();
    let mut spec = exchange("POST", "/graphql", JSON, r#"{"query":"{ user }"}"#, 200, JSON, "");
    spec.response_fields.push(("Content-Encoding", "gzip".into()));
    spec.response = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &packed, &[0; 8]].concat();
    let call = named(&spec);
    assert_eq!((leaf(&call), call.app_status), ("Graphql QUERY /graphql user".into(), Some(1)));
}

#[test]
fn what_only_looks_like_it_is_rest() {
    for (request, status, kind, answer) in [
        (r#"{"query":"{ users { id } }"}"#, 404, "text/html", "<html>"),
        (r#"{"query":"{ users { id } }"}"#, 200, JSON, r#"{"hits":[]}"#),
        (r#"{"query":"{ users { id } }"}"#, 405, JSON, ""),
        (r#"{"query":"select * from users"}"#, 200, JSON, r#"{"data":[]}"#),
        (r#"{"query":"query about shoes"}"#, 200, JSON, r#"{"data":[]}"#),
        (r#"{"query":"{\"match\": {}}"}"#, 200, JSON, r#"{"data":[]}"#),
        (r#"{"query":{"match":{}}}"#, 200, JSON, r#"{"data":[]}"#),
        (r#"{"a":{"query":"{ users }"}}"#, 200, JSON, r#"{"data":[]}"#),
        (r#"{"query":7}"#, 200, JSON, r#"{"data":[]}"#),
    ] {
        let call = named(&exchange("POST", "/search", JSON, request, status, kind, answer));
        assert_eq!((call.protocol, &*call.method), (Protocol::Http1, "POST"), "{request}");
        assert!(call.graphql.is_none() && call.operation.is_empty());
    }
    let get = exchange("GET", "/search?query=shoes", "", "", 200, JSON, r#"{"data":[]}"#);
    assert_eq!(named(&get).protocol, Protocol::Http1);
}
