//! What a call gives away about its own danger: classes, keyed hashes and the hosts that it names, read from heads and
//! bodies that nobody keeps.
//!
//! Looks at what is cheap first, and at no more than [`MAX_READ`] bytes of a body. What a body may hold compressed is
//! not looked into.

mod host;
mod value;

use crate::call::{Call, Clues, Notes, Protocol};
use crate::exchange::{Exchange, Fields, Request, Response};
use crate::keyed_hash::KeyedHash;
use crate::path::Target;
use std::net::IpAddr;

/// Bytes of a body that are looked at: forms and documents of API calls are shorter, and this is per call.
const MAX_READ: usize = 8 << 10;
/// Purposes of the quick hash; those below are places of credentials.
const GUESS: u64 = 64;
const ARGUMENTS: u64 = 65;

/// Words in a path behind which a short secret is tried: vouchers, and codes that prove something.
const GUESSED: [&str; 9] =
    ["voucher", "coupon", "promo", "giftcard", "gift-card", "redeem", "discount", "otp", "verify"];
/// What a failure looks like that shows its own code: Java and JavaScript, Python, Go, .NET, Rust.
const TRACES: [&[u8]; 7] = [
    b"\\n\\tat ",
    b"\n\tat ",
    b"\\n    at ",
    b"Traceback (most recent call last)",
    b"goroutine 1 [",
    b"\n   at ",
    b"stack backtrace:",
];

/// Notes what the exchange of `call` gives away.
pub(crate) fn read(exchange: &Exchange<'_>, target: &Target<'_>, hash: &KeyedHash, call: &mut Call) {
    call.clues = None;
    let mut clues = Clues::default();
    of_request(&exchange.request, target, hash, call, &mut clues);
    if let Some(response) = &exchange.response {
        of_response(&exchange.request, response, call, &mut clues);
    }
    if clues != Clues::default() {
        call.clues = Some(Box::new(clues));
    }
}

fn of_request(
    request: &Request<'_>,
    target: &Target<'_>,
    hash: &KeyedHash,
    call: &mut Call,
    clues: &mut Clues,
) {
    if foreign_origin(request.fields, &call.host).is_some() {
        call.notes.add(Notes::FOREIGN_ORIGIN);
    }
    if request.fields.get("x-forwarded-proto").is_some_and(|proto| proto.starts_with(b"https")) {
        call.notes.add(Notes::TLS_IN_FRONT);
    }
    host::named_in(target.query, call, clues);
    let body = begin(request.body);
    if body.is_empty() || call.request_type.starts_with("multipart/") {
        return;
    }
    host::named_in(body, call, clues);
    if call.protocol == Protocol::Mcp {
        clues.arguments = value::of(body, b"\"arguments\"").map(|arguments| hash.quick(ARGUMENTS, arguments));
    }
    if GUESSED.iter().any(|word| call.path.contains(word)) {
        clues.guess = Some(hash.quick(GUESS, body));
    }
    if call.request_type.ends_with("json") {
        call.notes.add(value::amounts(body));
    }
}

fn of_response(request: &Request<'_>, response: &Response<'_>, call: &mut Call, clues: &mut Clues) {
    let mut head = Head { foreign: foreign_origin(request.fields, &call.host), ..Head::default() };
    response.fields.each(&mut |name, value| head.take(name, value, call, clues));
    if head.allows_credentials && head.allows_anybody {
        call.notes.add(Notes::OPEN_CORS);
    }
    let is_page = call.response_type == "text/html";
    if is_page && !head.is_hardened && response.status < 300 {
        call.notes.add(Notes::UNHARDENED);
    }
    let body = begin(response.body);
    if response.status >= 400 && TRACES.iter().any(|trace| memchr::memmem::find(body, trace).is_some()) {
        call.notes.add(Notes::STACK_TRACE);
    }
    // Only what comes from outside is worth the search.
    if call.response_type.ends_with("json") && !host::is_inside(call.dst_addr.ip()) && value::is_markup(body)
    {
        call.notes.add(Notes::MARKUP);
    }
}

/// What the head of an answer says.
#[derive(Default)]
struct Head<'a> {
    /// The foreign origin that asked.
    foreign: Option<&'a [u8]>,
    allows_credentials: bool,
    /// The foreign origin that asked may read the answer.
    allows_anybody: bool,
    is_hardened: bool,
}

impl Head<'_> {
    fn take(&mut self, name: &[u8], value: &[u8], call: &mut Call, clues: &mut Clues) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            6 if is("server") && has_version(value) => call.notes.add(Notes::BANNER),
            6 if is("sunset") => call.notes.add(Notes::DEPRECATED),
            8 if is("location") => host::elsewhere(value, call, clues),
            11 if is("deprecation") && value.trim_ascii() != b"false" => call.notes.add(Notes::DEPRECATED),
            12 if is("x-powered-by") => call.notes.add(Notes::BANNER),
            22 if is("x-content-type-options") => self.is_hardened = true,
            23 if is("content-security-policy") => self.is_hardened = true,
            27 if is("access-control-allow-origin") => {
                let value = value.trim_ascii();
                // Browsers send no credentials where everybody is let in by a star.
                self.allows_anybody =
                    self.foreign.is_some_and(|foreign| value == foreign || value == b"null");
            }
            32 if is("access-control-allow-credentials") => {
                self.allows_credentials = value.trim_ascii() == b"true";
            }
            _ => {}
        }
    }
}

/// The origin of a script that is not of the domain that was asked.
fn foreign_origin<'a>(fields: &'a dyn Fields, host: &str) -> Option<&'a [u8]> {
    let origin = fields.get("origin")?.trim_ascii();
    let at = memchr::memmem::find(origin, b"://")?;
    // Behind a proxy the host is an address that no script knows: then nothing can be said.
    let asked = host.split(':').next().unwrap_or_default();
    if asked.is_empty() || asked.starts_with('[') || asked.parse::<IpAddr>().is_ok() {
        return None;
    }
    let of = origin.get(at + 3..)?;
    (!domain(of).eq_ignore_ascii_case(domain(asked.as_bytes()))).then_some(origin)
}

/// The last two labels of a host: scripts of one domain are among friends.
fn domain(host: &[u8]) -> &[u8] {
    let host = host.split(|byte| *byte == b':').next().unwrap_or_default();
    let dot = |until: usize| memchr::memrchr(b'.', host.get(..until).unwrap_or_default());
    let begin = dot(host.len()).and_then(dot).map_or(0, |at| at + 1);
    host.get(begin..).unwrap_or_default()
}

/// `nginx/1.25.3`, and not `nginx`.
fn has_version(value: &[u8]) -> bool {
    value.windows(2).any(|pair| matches!(pair, [b'/' | b' ', digit] if digit.is_ascii_digit()))
}

fn begin(body: &[u8]) -> &[u8] {
    body.get(..MAX_READ).unwrap_or(body)
}

#[cfg(test)]
mod tests;
