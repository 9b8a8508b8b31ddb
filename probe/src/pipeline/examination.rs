//! Some calls a second are held against their documents: whole JSON bodies and the values of queries.
//!
//! A thread of its own takes what the capture thread has a copy of, and forgets it when it has looked: what goes on is which
//! property was not as documented, not what was there. What it has no time for is counted and never waited for.

use crate::spec::examine::{Examiner, Exhibit};
use apisec_engine::drift::Given;
use apisec_engine::knowledge::Mismatch;
use apisec_engine::spec::Part;
use apisec_proto::call::{Call, Protocol};
use apisec_proto::exchange::Exchange;
use apisec_proto::namer::Namer;
use apisec_proto::path::{Target, decode_form};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// Calls of one second that are looked at.
const PER_SECOND: u32 = 50;
/// Calls that may wait: a second's worth.
const WAITING: usize = 64;
/// Differences that may wait to be taken.
const WAITING_FOUND: usize = 1_024;
/// Bytes of one body that are looked at.
const MAX_BODY: usize = 64 << 10;
/// Parameters of one query, and bytes of each.
const MAX_QUERY: usize = 32;
const MAX_VALUE: usize = 512;
const SECOND: u64 = 1_000_000_000;

/// The capture thread's end.
#[derive(Default)]
pub(super) struct Examination {
    thread: Option<(Sender<Sample>, JoinHandle<()>)>,
    found: Option<Receiver<Mismatch>>,
    specs: Option<watch::Receiver<Vec<Given>>>,
    second: u64,
    taken: u32,
    /// Calls that were looked at, and those for which there was no time, since the start.
    pub(super) examined: u64,
    pub(super) left_out: u64,
}

/// A copy of what one call said.
struct Sample {
    service: String,
    method: String,
    path: String,
    status: u16,
    /// Media types and texts.
    request: Option<(String, Vec<u8>)>,
    answer: Option<(String, Vec<u8>)>,
    query: Vec<(String, String)>,
}

impl Examination {
    /// Looks at calls as long as it lives; at none when the system gives no thread.
    pub(super) fn start(specs: watch::Receiver<Vec<Given>>) -> Self {
        let (samples, taken) = bounded(WAITING);
        let (send, found) = bounded(WAITING_FOUND);
        let given = specs.clone();
        let body = move || examine(&taken, given, &send);
        let thread = std::thread::Builder::new().name("apisec-examine".into()).spawn(body).ok();
        Self {
            thread: thread.map(|thread| (samples, thread)),
            found: Some(found),
            specs: Some(specs),
            ..Self::default()
        }
    }

    /// Takes a copy of a call that is read in full, if it is its turn.
    pub(super) fn offer(&mut self, exchange: &Exchange<'_>, call: &Call, namer: &mut Namer) {
        let Some((samples, _)) = &self.thread else { return };
        let is_documented = || {
            self.specs.as_ref().is_some_and(|specs| specs.borrow().iter().any(|own| own.documents.is_some()))
        };
        if !matches!(call.protocol, Protocol::Http1 | Protocol::Http2) || !is_documented() {
            return;
        }
        if call.at / SECOND != self.second {
            (self.second, self.taken) = (call.at / SECOND, 0);
        }
        if self.taken >= PER_SECOND {
            self.left_out += 1;
            return;
        }
        let Some(sample) = Sample::of(exchange, call, namer) else { return };
        self.taken += 1;
        match samples.try_send(sample) {
            Ok(()) => self.examined += 1,
            Err(_full) => self.left_out += 1,
        }
    }

    /// What was found since the last time.
    pub(super) fn found(&self) -> Vec<Mismatch> {
        self.found.iter().flat_map(Receiver::try_iter).collect()
    }

    /// Waits for what it still has to look at.
    pub(super) fn finish(&mut self) {
        if let Some((samples, thread)) = self.thread.take() {
            drop(samples);
            let _panicked = thread.join();
        }
    }
}

impl Sample {
    /// `None` when there is nothing to compare: no body that is whole, and no query. What was refused says nothing about
    /// what is accepted.
    fn of(exchange: &Exchange<'_>, call: &Call, namer: &mut Namer) -> Option<Self> {
        let status = call.status?;
        let refused = status >= 400;
        let asked = &exchange.request;
        let mut text = |media: &str, fields, body, size| {
            let is_json = media == "application/json" || media.ends_with("+json");
            let text = namer.whole(fields, body, size).filter(|text| is_json && text.len() <= MAX_BODY)?;
            Some((media.to_owned(), text.to_vec()))
        };
        let request =
            if refused { None } else { text(&call.request_type, asked.fields, asked.body, asked.sizes.body) };
        let response = exchange.response.as_ref();
        let answer = response.and_then(|own| text(&call.response_type, own.fields, own.body, own.sizes.body));
        let query = if refused { Vec::new() } else { query(exchange) };
        (request.is_some() || answer.is_some() || !query.is_empty()).then(|| Self {
            service: call.dst.workload.id.to_string(),
            method: call.method.to_string(),
            path: call.path.to_string(),
            status,
            request,
            answer,
            query,
        })
    }
}

/// The parameters of a query, decoded as forms are.
fn query(exchange: &Exchange<'_>) -> Vec<(String, String)> {
    let target = Target::parse(exchange.request.target, exchange.request.method == b"CONNECT");
    let pairs =
        target.query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty() && pair.len() <= MAX_VALUE);
    let split = |pair: &[u8]| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(at)?;
        Some((decoded(name), decoded(value.get(1..).unwrap_or_default())))
    };
    pairs.filter_map(split).take(MAX_QUERY).collect()
}

/// Percent-encoding and `+` undone; what is no UTF-8 is replaced.
fn decoded(text: &[u8]) -> String {
    String::from_utf8_lossy(decode_form(text, &mut Vec::new())).into_owned()
}

/// The thread: until nobody offers any more.
fn examine(samples: &Receiver<Sample>, mut specs: watch::Receiver<Vec<Given>>, found: &Sender<Mismatch>) {
    let mut examiner = Examiner::new(&specs.borrow_and_update());
    for sample in samples {
        if specs.has_changed().unwrap_or(false) {
            examiner = Examiner::new(&specs.borrow_and_update());
        }
        if examiner.is_idle() {
            continue;
        }
        let read = |body: &Option<(String, Vec<u8>)>| serde_json::from_slice(&body.as_ref()?.1).ok();
        let mut exhibits = Vec::new();
        if let Some((value, (media, _))) = read(&sample.request).zip(sample.request.as_ref()) {
            exhibits.push(Exhibit { part: Part::Request(media), value });
        }
        if let Some((value, (media, _))) = read(&sample.answer).zip(sample.answer.as_ref()) {
            exhibits.push(Exhibit { part: Part::Answer(sample.status, media), value });
        }
        for (name, value) in &sample.query {
            exhibits.push(Exhibit { part: Part::Query(name), value: value.as_str().into() });
        }
        for (place, what) in examiner.examine(&sample.method, &sample.path, &exhibits) {
            let mismatch =
                Mismatch { service: sample.service.clone(), file: place.file, pointer: place.pointer, what };
            // When there are so many, the same will be found again.
            let _full = found.try_send(mismatch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_as_forms() {
        assert_eq!(decoded(b"a+b%20c%C3%A4%zz%"), "a b c\u{e4}%zz%");
    }
}
