use crate::call::{Call, Notes};
use crate::fixture::{Spec, exchange, named};

fn json(body: &str) -> Spec {
    exchange("POST", "/import", "application/json", body, 201, "application/json", "{}")
}

fn with(mut spec: Spec, request: &[(&'static str, &str)], response: &[(&'static str, &str)]) -> Call {
    spec.request_fields.extend(request.iter().map(|(name, value)| (*name, (*value).to_owned())));
    spec.response_fields.extend(response.iter().map(|(name, value)| (*name, (*value).to_owned())));
    named(&spec)
}

#[test]
fn hosts_that_a_request_names() {
    let call = named(&json(r#"{"url":"http:\/\/0xa9fea9fe\/latest","logo":"https://cdn.example/x"}"#));
    assert!(call.notes.any(Notes::NAMES_INSIDE) && call.notes.any(Notes::NAMES_HOST));
    assert_eq!(call.clues.unwrap().hosts.as_slice(), ["cdn.example", "169.254.169.254"]);
    let call = named(&exchange("GET", "/go?to=http%3A%2F%2Flocalhost%2F", "", "", 200, "", ""));
    assert_eq!(call.clues.unwrap().hosts.as_slice(), ["localhost"]);
    let call = named(&json(r#"{"note":"the ratio is 3://4, see xhttp://a"}"#));
    assert!(call.clues.is_none(), "{:?}", call.clues);
}

#[test]
fn a_decoy_does_not_hide_what_is_inside() {
    let decoys: String = (0..9).map(|n| format!("\"http://d{n}.example\",")).collect();
    let call = named(&json(&format!("[{decoys}\"http://127.0.0.1/\"]")));
    let hosts = call.clues.unwrap().hosts;
    assert!(hosts.len() == 4 && hosts.iter().any(|host| host == "127.0.0.1"), "{hosts:?}");
}

#[test]
fn open_doors() {
    let asked = [("Host", "api.shop.example"), ("Origin", "https://attacker.example")];
    let open = [
        ("Access-Control-Allow-Origin", "https://attacker.example"),
        ("Access-Control-Allow-Credentials", "true"),
    ];
    let call = with(json("{}"), &asked, &open);
    assert!(call.notes.any(Notes::OPEN_CORS) && call.notes.any(Notes::FOREIGN_ORIGIN));
    let own = [("Host", "api.shop.example"), ("Origin", "https://www.shop.example")];
    assert!(!with(json("{}"), &own, &open).notes.any(Notes::FOREIGN_ORIGIN));
    // Neither may a star do, which browsers ignore with credentials, nor what nobody foreign asked for.
    let star = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true")];
    assert!(!with(json("{}"), &asked, &star).notes.any(Notes::OPEN_CORS));
    assert!(!with(json("{}"), &[], &open).notes.any(Notes::OPEN_CORS));
    // A public API without credentials may be open to everybody.
    let public = [("Access-Control-Allow-Origin", "*")];
    assert!(!with(json("{}"), &asked, &public).notes.any(Notes::OPEN_CORS));
    assert!(with(json("{}"), &[], &[("Server", "nginx/1.25.3")]).notes.any(Notes::BANNER));
    assert!(!with(json("{}"), &[], &[("Server", "nginx")]).notes.any(Notes::BANNER));
    for (name, value, deprecated) in [
        ("Deprecation", "@1688169599", true),
        ("Sunset", "Wed, 11 Nov 2026 23:59:59 GMT", true),
        ("deprecation", "false", false),
        ("Deprecated", "true", false),
    ] {
        let call = with(json("{}"), &[], &[(name, value)]);
        assert_eq!(call.notes.any(Notes::DEPRECATED), deprecated, "{name}: {value}");
    }
}

#[test]
fn failures_that_show_code() {
    let failed = |status, body: &str| {
        named(&exchange("GET", "/a", "", "", status, "application/json", body)).notes.any(Notes::STACK_TRACE)
    };
    assert!(failed(500, r#"{"detail":"E: x\n\tat shop.A.b(A.java:42)"}"#));
    assert!(failed(500, "Traceback (most recent call last):\n"));
    assert!(!failed(500, r#"{"detail":"look at the log"}"#));
    assert!(!failed(200, r#"{"article":"x\n\tat y"}"#));
}

#[test]
fn guesses_are_hashes() {
    let tried = |code: &str| {
        let body = format!("{{\"code\":\"{code}\"}}");
        let spec = exchange("POST", "/cart/1/voucher", "application/json", &body, 404, "", "");
        named(&spec).clues.unwrap().guess.unwrap()
    };
    assert_eq!(tried("A"), tried("A"));
    assert_ne!(tried("A"), tried("B"));
    assert!(named(&json(r#"{"code":"A"}"#)).clues.is_none());
}
