use super::*;
use crate::call::{Workload, WorkloadKind};
use crate::decoder::Decoder;
use crate::decoder::limits::Limits;
use crate::segment::{ConnId, Segment, Side};
use proptest::prelude::*;

fn party(number: u32, name: &str) -> Party {
    let workload = Workload { pid: 1, ..Workload::named(name, name, WorkloadKind::Process) };
    Party { number, workload: Arc::new(workload) }
}

/// Decodes one exchange and names it.
fn name(request: &[u8], response: &[u8], want_detail: bool) -> Option<Call> {
    name_by(&NamingSources::default(), request, response, want_detail)
}

/// The same, with the word of the operator on what names callers.
fn name_by(sources: &NamingSources, request: &[u8], response: &[u8], want_detail: bool) -> Option<Call> {
    let mut namer = Namer::new([3; 32]);
    namer.name_by(sources.clone());
    name_with(&mut namer, request, response, want_detail)
}

fn name_with(namer: &mut Namer, request: &[u8], response: &[u8], want_detail: bool) -> Option<Call> {
    let (src, dst) = (party(1, "a"), party(2, "b"));
    let ends = Ends {
        src: &src,
        dst: &dst,
        src_addr: ([192, 0, 2, 1], 1).into(),
        dst_addr: ([192, 0, 2, 2], 80).into(),
        vantage: Vantage::Server,
    };
    let mut call = None;
    let mut decoder = Decoder::new(Limits::default());
    let mut out = |exchange: &Exchange<'_>| {
        let mut named = Namer::blank(ends);
        namer.name(exchange, ends, if want_detail { Depth::Detail } else { Depth::Fields }, &mut named);
        call = Some(named);
    };
    for (at, from, bytes) in [(100, Side::Client, request), (250, Side::Server, response)] {
        let len = bytes.len() as u32;
        let segment =
            Segment { conn: ConnId(1), at, from, syn_seen: true, seq: 1, len, bytes, fin: false, rst: false };
        decoder.segment(&segment, &mut out);
    }
    decoder.finish(900, &mut out);
    call
}

const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}";

#[test]
fn a_call_says_what_happened() {
    let request = b"POST /users/42/orders/?page=1&sort=secret HTTP/1.1\r\nHost: Shop.Example:8080\r\n\
        Content-Type: text/plain\r\nAuthorization: Bearer abc\r\nX-Request-Id: r1\r\nContent-Length: 3\r\n\r\nabc";
    let call = name(request, OK, false).unwrap();
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/users/42/orders/"));
    assert_eq!(call.query.as_slice(), ["page", "sort"]);
    assert_eq!(call.host, "shop.example:8080");
    assert_eq!((call.status, call.ttfb, call.duration, call.at), (Some(200), Some(150), 150, 100));
    assert_eq!((call.request_bytes, call.request_body), (request.len() as u64, 3));
    assert_eq!((call.response_bytes, call.response_body), (OK.len() as u64, 2));
    assert_eq!((call.request_type.as_str(), call.response_type.as_str()), ("text/plain", "application/json"));
    assert_eq!(call.auth, AuthScheme::Bearer);
    assert!(call.identity.is_some() && call.trace.is_some() && call.detail.is_none());
}

#[test]
fn one_identity_is_revealed_to_whoever_asks_for_it() {
    let request = |key: &str| format!("GET / HTTP/1.1\r\nHost: h\r\nX-Api-Key: {key}\r\n\r\n").into_bytes();
    let mut namer = Namer::new([3; 32]);
    let ada = name_with(&mut namer, &request("ada-key"), OK, false).unwrap().identity;
    assert!(ada.is_some() && namer.revealed().is_none());
    namer.look_for(ada);
    name_with(&mut namer, &request("another"), OK, false);
    assert!(namer.revealed().is_none());
    name_with(&mut namer, &request("ada-key"), OK, false);
    assert_eq!(namer.revealed().unwrap().expose(), "ada-key");
    assert!(namer.revealed().is_none());
    namer.look_for(None);
    name_with(&mut namer, &request("ada-key"), OK, false);
    assert!(namer.revealed().is_none());
}

#[test]
fn an_unanswered_call_says_how_long_it_waited() {
    let call = name(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"", false).unwrap();
    assert_eq!((call.status, call.ttfb, call.duration), (None, None, 800));
}

#[test]
fn the_target_beats_the_host_field_and_hides_the_user() {
    let call = name(b"GET http://ada:pw@Proxy.Example/a HTTP/1.1\r\nHost: other\r\n\r\n", OK, false).unwrap();
    assert_eq!((call.host.as_str(), call.path.as_str()), ("proxy.example", "/a"));
    let call =
        name(b"CONNECT api.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", false)
            .unwrap();
    assert_eq!((call.host.as_str(), call.path.as_str()), ("api.example:443", "/"));
}

#[test]
fn the_stronger_proof_counts() {
    let head = "GET /?api_key=k1234567 HTTP/1.1\r\nHost: h\r\n";
    let auth = |fields: &str| name(format!("{head}{fields}\r\n").as_bytes(), OK, false).unwrap().auth;
    assert_eq!(auth(""), AuthScheme::ApiKey);
    assert_eq!(auth("Cookie: sid=0123456789\r\n"), AuthScheme::Cookie);
    assert_eq!(
        auth("Cookie: sid=0123456789\r\nAuthorization: Basic YTpi\r\nX-Api-Key: k\r\n"),
        AuthScheme::Basic
    );
}

#[test]
fn a_reused_call_keeps_nothing_of_the_last() {
    let (src, dst) = (party(1, "a"), party(2, "b"));
    let addr: SocketAddr = ([192, 0, 2, 1], 1).into();
    let ends = Ends { src: &src, dst: &dst, src_addr: addr, dst_addr: addr, vantage: Vantage::Client };
    let full = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nCookie: sid=0123456789\r\nb3: 463ac35c9f6413ad-1\r\n\r\n";
    let mut namer = Namer::new([3; 32]);
    let mut call = Namer::blank(ends);
    let mut decoder = Decoder::new(Limits::default());
    let mut seq = 0;
    for bytes in [&full[..], b"GET / HTTP/1.0\r\n\r\n"] {
        let len = bytes.len() as u32;
        let segment = Segment {
            conn: ConnId(1),
            at: 5,
            from: Side::Client,
            syn_seen: true,
            seq,
            len,
            bytes,
            fin: false,
            rst: false,
        };
        seq += len;
        decoder.segment(&segment, &mut |_| {});
    }
    decoder.finish(9, &mut |exchange| {
        let depth = if exchange.request.minor_version == 1 { Depth::Detail } else { Depth::Fields };
        namer.name(exchange, ends, depth, &mut call);
    });
    assert_eq!((call.path.as_str(), call.host.as_str(), call.query.len()), ("/", "", 0));
    assert_eq!(
        (call.auth, call.identity, call.trace, call.detail.is_none()),
        (AuthScheme::None, None, None, true)
    );
    assert_eq!((call.request_type.as_str(), call.response_type.as_str()), ("", ""));
}

/// Places where a secret can stand, and the secret.
fn secret_request(secret: &str) -> Vec<String> {
    vec![
        format!("GET /reset/{secret} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET /?token={secret} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET /?{secret} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET http://{secret}@h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {secret}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: {secret}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: sid={secret}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\nX-Api-Key: {secret}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\nX-Whatever: {secret}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: x {secret}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\nReferer: http://h/{secret}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: {secret}\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{secret}", secret.len()),
    ]
}

#[test]
fn no_secret_passes() {
    for secret in [
        "Zx9Qw3Rt7yUi1oPa5sDf8gHj2kLm",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "ada.l@example.com",
    ] {
        let response = format!(
            "HTTP/1.1 302 F\r\nLocation: /{secret}\r\nSet-Cookie: sid={secret}\r\nContent-Length: 0\r\n\r\n"
        );
        for request in secret_request(secret) {
            let call = name(request.as_bytes(), response.as_bytes(), true).unwrap();
            assert!(!format!("{call:?}").contains(secret), "{request}\n{call:#?}");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_heads_are_named_within_bounds(target in "[!-~]{1,600}", host in "[ -~\\x80-\\xff]{0,400}", field in "[a-zA-Z0-9-]{1,40}", value in "[ -~]{0,300}") {
        let request = format!("GET /{target} HTTP/1.1\r\nHost: {host}\r\n{field}: {value}\r\n\r\n");
        if let Some(call) = name(request.as_bytes(), OK, true) {
            prop_assert!(call.path.len() <= crate::path::MAX_PATH && call.host.len() <= MAX_TEXT);
            prop_assert!(call.query.len() <= 16 && call.query.iter().all(|name| name.len() <= 64));
            prop_assert!(call.path.is_ascii() && call.host.is_ascii());
        }
    }
}

#[test]
fn callers_are_named_by_what_the_operator_says() {
    use base64::Engine as _;
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let token = |subject: &str, shop: &str| {
        let claims = format!(r#"{{"sub":"{subject}","shop":"{shop}"}}"#);
        format!("{}.{}.sig", part(r#"{"alg":"RS256"}"#), part(&claims))
    };
    let who = |source: &str, (subject, shop, cookie, field): (&str, &str, &str, &str)| {
        let mut sources = NamingSources::default();
        if !source.is_empty() {
            sources.0.insert("b".into(), source.parse().unwrap());
        }
        let request = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nX-Customer: {field}\r\nAuthorization: Bearer {}\r\nCookie: a=1; cust={cookie}\r\n\r\n",
            token(subject, shop)
        );
        name_by(&sources, request.as_bytes(), OK, false).unwrap().identity.unwrap()
    };
    let ada = ("ada", "s1", "c1", "f1");
    for (source, same, other) in [
        ("", ("ada", "s2", "c2", "f2"), ("bob", "s1", "c1", "f1")),
        ("claim shop", ("bob", "s1", "c2", "f2"), ("ada", "s2", "c1", "f1")),
        ("cookie cust", ("bob", "s2", "c1", "f2"), ("ada", "s1", "c2", "f1")),
        ("header X-Customer", ("bob", "s2", "c2", "f1"), ("ada", "s1", "c1", "f2")),
    ] {
        assert_eq!(who(source, ada), who(source, same), "{source}");
        assert_ne!(who(source, ada), who(source, other), "{source}");
    }
    // What is not there names nobody: the first credential does, as everywhere.
    assert_eq!(who("header x-none", ada), who("", ada));
}
