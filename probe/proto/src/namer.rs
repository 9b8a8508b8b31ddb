//! Exchanges to calls: who, whom, which operation, what came back, with everything secret left behind.

mod trace;

use crate::body;
use crate::body::Coding;
use crate::body::coding::MAX_UNPACKED;
use crate::call::{
    AuthScheme, Bodies, Call, IdentityHash, Messages, Notes, Objects, Party, Protocol, Vantage,
};
use crate::clue;
use crate::credential::{Credentials, Place, cookie, is_certificate_field, is_key_field, legible};
use crate::dialect::{DIALECTS, Scratch};
use crate::exchange::{Exchange, Fields, Request, Response};
use crate::keyed_hash::KeyedHash;
use crate::naming_source::{NamingSource, NamingSources};
use crate::object;
use crate::path::Target;
use crate::redact;
use crate::secret::Secret;
use compact_str::CompactString;
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::sync::Arc;

/// Longest field name that is looked at.
const MAX_FIELD: usize = 32;

/// The two ends of a call: `src` sent the request.
#[derive(Clone, Copy)]
pub struct Ends<'a> {
    /// Who called.
    pub src: &'a Party,
    /// Who was called.
    pub dst: &'a Party,
    /// The caller's address.
    pub src_addr: SocketAddr,
    /// The address that was called.
    pub dst_addr: SocketAddr,
    /// Where it was observed.
    pub vantage: Vantage,
}

/// How much of an exchange is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Method, path, status, sizes and times; the fields are left alone (`AuthScheme::Unread`).
    Operation,
    /// The fields too: host, media types, who it says it is, its trace.
    Fields,
    /// And all of them, masked, for the inspector.
    Detail,
}

/// Names exchanges under one key.
pub struct Namer {
    hash: KeyedHash,
    credentials: Credentials,
    scratch: Scratch,
    sources: NamingSources,
    /// The identity that an operator wants to know of.
    wanted: Option<IdentityHash>,
    revealed: Option<Secret>,
}

impl Namer {
    /// `key` is the installation's: under the same key the same identity has the same hash.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            hash: KeyedHash::new(&key),
            credentials: Credentials::new(),
            scratch: Scratch::default(),
            sources: NamingSources::default(),
            wanted: None,
            revealed: None,
        }
    }

    /// Who this is shall be told by the next call of theirs; `None`: nobody asks.
    pub fn look_for(&mut self, identity: Option<IdentityHash>) {
        self.wanted = identity;
    }

    /// Who it is, once.
    pub const fn revealed(&mut self) -> Option<Secret> {
        self.revealed.take()
    }

    /// What names the callers of which services, by the word of the operator.
    pub fn name_by(&mut self, sources: NamingSources) {
        self.credentials.keep_claims(sources.claims());
        self.sources = sources;
    }

    /// A call to be filled by [`name`](Self::name) again and again.
    #[must_use]
    pub fn blank(ends: Ends<'_>) -> Call {
        Call {
            at: 0,
            src: ends.src.clone(),
            dst: ends.dst.clone(),
            src_addr: ends.src_addr,
            dst_addr: ends.dst_addr,
            vantage: ends.vantage,
            protocol: Protocol::Opaque,
            method: CompactString::default(),
            operation: CompactString::default(),
            path: CompactString::default(),
            query: SmallVec::new(),
            host: CompactString::default(),
            status: None,
            ttfb: None,
            duration: 0,
            request_bytes: 0,
            response_bytes: 0,
            request_body: 0,
            response_body: 0,
            auth: AuthScheme::None,
            identity: None,
            request_type: CompactString::default(),
            response_type: CompactString::default(),
            trace: None,
            messages: [Messages::default(); 2],
            app_status: None,
            failed: false,
            notes: Notes::default(),
            bodies: None,
            graphql: None,
            clues: None,
            credential: None,
            objects: Objects::default(),
            tls: None,
            detail: None,
        }
    }

    /// Fills `call`, which may hold an older one, from the exchange. `ends.src` is the end that sent the request:
    /// where `exchange.requester` is the server's side, the caller has exchanged the ends.
    pub fn name(&mut self, exchange: &Exchange<'_>, ends: Ends<'_>, depth: Depth, call: &mut Call) {
        set_party(&mut call.src, ends.src);
        set_party(&mut call.dst, ends.dst);
        (call.src_addr, call.dst_addr, call.vantage) = (ends.src_addr, ends.dst_addr, ends.vantage);
        measure(exchange, call);
        let target = Target::parse(exchange.request.target, exchange.request.method == b"CONNECT");
        if let Some(dialect) = DIALECTS.iter().find(|dialect| dialect.claims(exchange)) {
            dialect.describe(exchange, &target, &mut self.scratch, call);
        }
        call.graphql = call.graphql.take().filter(|_| call.protocol == Protocol::Graphql);
        call.detail = call.detail.take().filter(|_| depth == Depth::Detail);
        if depth == Depth::Operation {
            return leave_fields(call);
        }
        self.read_request(exchange, &target, call);
        let answered = exchange.response.as_ref().and_then(|response| response.fields.get("content-type"));
        set_media_type(answered.unwrap_or_default(), &mut call.response_type);
        clue::read(exchange, &target, &self.hash, call);
        object::asked(exchange, &target, &self.hash, call);
        if depth == Depth::Detail {
            self.read_bodies(exchange, target.query, call);
            let response = exchange.response.as_ref().map(|response| response.fields);
            redact::detail(exchange.request.fields, response, call.detail.get_or_insert_default());
        }
    }

    /// The whole text of a body, for whoever compares it with its documentation at once: it must never be kept.
    pub fn whole<'a>(&'a mut self, fields: &dyn Fields, body: &'a [u8], size: u64) -> Option<&'a [u8]> {
        body::whole(fields, body, size, &mut self.scratch.unpacker)
    }

    /// What the bodies and the query look like, as far as they were captured.
    fn read_bodies(&mut self, exchange: &Exchange<'_>, query: &[u8], call: &mut Call) {
        let mut read = |fields: &dyn Fields, body: &[u8], size: u64| {
            let Scratch { text, unpacker } = &mut self.scratch;
            body::read(fields, body, size, (unpacker, text), &mut call.notes)
        };
        let Request { fields, body, sizes, .. } = &exchange.request;
        let request = read(*fields, body, sizes.body);
        let response = exchange.response.as_ref();
        let response =
            response.and_then(|response| read(response.fields, response.body, response.sizes.body));
        if let Some(answer) = &exchange.response {
            let coding = Coding::named(answer.fields.get("content-encoding").unwrap_or_default());
            let (text, _) = self.scratch.unpacker.unpack(coding, answer.body, MAX_UNPACKED);
            object::given(text, &self.hash, &mut call.objects);
        }
        let is_cut = exchange.notes.any(Notes(Notes::HEAD_TRUNCATED.0 | Notes::OPAQUE_FIELDS.0));
        let query = body::read_query(query, !is_cut, &mut self.scratch.text);
        if request.is_some() || response.is_some() || query.is_some() {
            call.bodies = Some(Box::new(Bodies { request, response, query }));
        }
    }

    /// Everything that the fields of the request say, in one pass.
    fn read_request(&mut self, exchange: &Exchange<'_>, target: &Target<'_>, call: &mut Call) {
        (call.auth, call.identity, call.trace) = (AuthScheme::None, None, None);
        call.credential = None;
        let now = call.at;
        let mut hosted = !target.authority.is_empty();
        if hosted {
            set_host(target.authority, &mut call.host);
        }
        let (mut typed, mut traced, mut proof) = (false, None, None);
        let Self { hash, credentials, sources, wanted, revealed, .. } = self;
        let mut legibly = None;
        let chosen = sources.of(&call.dst.workload.id);
        let mut prove = |place: Place, field: (&[u8], &[u8]), call: &mut Call| {
            if proof.is_none_or(|before| place < before)
                && let Some(found) = credentials.identify(hash, place, field, now)
            {
                (call.auth, call.identity) = (found.scheme, found.hash);
                call.credential = Some(found.credential);
                proof = Some(place);
                if wanted.is_some() {
                    let claim = match chosen {
                        Some(NamingSource::Claim(own)) => Some(own.as_str()),
                        _ => None,
                    };
                    legibly = legible(place, field.1, claim);
                }
            }
        };
        exchange.request.fields.each(&mut |name, value| {
            let mut lower = [0; MAX_FIELD];
            let Some(lower) = lower.get_mut(..name.len()) else { return };
            lower.copy_from_slice(name);
            lower.make_ascii_lowercase();
            match chosen {
                Some(NamingSource::Header(own)) if own.as_bytes() == lower => {
                    prove(Place::Chosen, (name, value), call);
                }
                Some(NamingSource::Cookie(own)) if lower == b"cookie" => {
                    if let Some(value) = cookie(value, own.as_bytes()) {
                        prove(Place::Chosen, (own.as_bytes(), value), call);
                    }
                }
                _ => {}
            }
            match &*lower {
                b"host" if !hosted => {
                    set_host(value, &mut call.host);
                    hosted = true;
                }
                b"content-type" => {
                    set_media_type(value, &mut call.request_type);
                    typed = true;
                }
                b"authorization" => prove(Place::Authorization, (name, value), call),
                b"cookie" => prove(Place::Cookie, (name, value), call),
                name if is_key_field(name) => prove(Place::KeyField, (name, value), call),
                name if is_certificate_field(name) => prove(Place::Certificate, (name, value), call),
                name => {
                    if let Some(source) = trace::source(name)
                        && traced.is_none_or(|before| source < before)
                        && let Some(id) = trace::id(source, value)
                    {
                        traced = Some(source);
                        call.trace = Some(trace::hash(hash, id));
                    }
                }
            }
        });
        if !target.query.is_empty() {
            prove(Place::Query, (b"", target.query), call);
        }
        if let (Some(NamingSource::Claim(own)), Some(credential)) = (chosen, &call.credential)
            && let Some((_, value)) = credential.claims.iter().find(|(name, _)| name == own)
        {
            call.identity = Some(IdentityHash(*value));
        }
        if wanted.is_some() && *wanted == call.identity {
            *revealed = legibly;
        }
        if !hosted {
            call.host.clear();
        }
        if !typed {
            call.request_type.clear();
        }
    }
}

/// What a call says when its fields were not read.
fn leave_fields(call: &mut Call) {
    (call.auth, call.identity, call.trace) = (AuthScheme::Unread, None, None);
    (call.clues, call.credential) = (None, None);
    call.objects.clear();
    call.host.clear();
    call.request_type.clear();
    call.response_type.clear();
}

/// Takes over a party, cheaply when it is the same as before.
fn set_party(to: &mut Party, from: &Party) {
    if to.number != from.number || !Arc::ptr_eq(&to.workload, &from.workload) {
        to.clone_from(from);
    }
}

/// Times, sizes, status and notes.
fn measure(exchange: &Exchange<'_>, call: &mut Call) {
    let timing = &exchange.timing;
    let request = &exchange.request.sizes;
    call.at = timing.request_start;
    (call.notes, call.messages) = (exchange.notes, exchange.messages);
    (call.app_status, call.failed) = (None, false);
    (call.bodies, call.tls) = (None, None);
    (call.request_bytes, call.request_body) = (request.wire, request.body);
    let since = |at: u64| at.saturating_sub(timing.request_start);
    if let Some(response) = &exchange.response {
        (call.response_bytes, call.response_body) = (response.sizes.wire, response.sizes.body);
        if is_blocked(response) {
            call.notes.add(Notes::BLOCKED);
        }
    } else {
        (call.response_bytes, call.response_body) = (0, 0);
    }
    (call.status, call.ttfb, call.duration) = match &exchange.response {
        _ if exchange.notes.any(Notes::ONE_WAY) => (None, None, 0),
        Some(response) if exchange.notes.any(Notes::OPAQUE_STATUS) => {
            (None, Some(since(timing.response_start)), since(timing.response_end))
        }
        Some(response) => {
            (Some(response.status), Some(since(timing.response_start)), since(timing.response_end))
        }
        None => (None, None, since(timing.closed)),
    };
}

/// Whether a response is what the kernel programs of enforcement write: one with the policy's number, or where that had no room
/// nothing but a length.
fn is_blocked(response: &Response<'_>) -> bool {
    if response.status != 403 || response.fields.get("x-apisec-policy").is_some() {
        return response.status == 403;
    }
    let (mut fields, mut bare) = (0, false);
    response.fields.each(&mut |name, value| {
        fields += 1;
        bare = name.eq_ignore_ascii_case(b"content-length") && value == b"0";
    });
    fields == 1 && bare
}

/// A host with its port in lower case; what no host contains becomes a question mark.
fn set_host(authority: &[u8], host: &mut CompactString) {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(&byte);
    set(authority.trim_ascii(), host, |byte| if is_host(byte) { byte.to_ascii_lowercase() } else { b'?' });
}

/// A media type without its parameters in lower case.
fn set_media_type(value: &[u8], media_type: &mut CompactString) {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is_media = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-._*".contains(&byte);
    set(essence, media_type, |byte| if is_media(byte) { byte.to_ascii_lowercase() } else { b'?' });
}

/// Longest host and media type that a call shows; a DNS name has at most 253 bytes.
const MAX_TEXT: usize = 260;

/// Replaces `text` by what `clean` makes of the bytes, each of which it turns into ASCII and leaves alone the second
/// time: so a text that is equal already, as that of the last call mostly is, can stay.
fn set(bytes: &[u8], text: &mut CompactString, clean: impl Fn(u8) -> u8) {
    if text.as_bytes() == bytes {
        return;
    }
    text.clear();
    let mut buffer = [0; MAX_TEXT];
    let len = bytes.len().min(MAX_TEXT);
    for (to, from) in buffer.iter_mut().zip(bytes) {
        *to = clean(*from);
    }
    text.push_str(str::from_utf8(buffer.get(..len).unwrap_or_default()).unwrap_or_default());
}

#[cfg(test)]
mod tests;
