//! Some calls a second are held against their documents: whole JSON bodies and the values of queries.
//!
//! A thread of its own takes what the capture thread has a copy of, and forgets it when it has looked: what goes on is which
//! property was not as documented, not what was there. What it has no time for is counted and never waited for.

use crate::spec::examine::{Examiner, Exhibit, Found};
use crate::spec::fields::Sent;
use crate::spec::graphql::message::Request;
use apisec_engine::drift::Given;
use apisec_engine::knowledge::Mismatch;
use apisec_engine::spec::Part;
use apisec_proto::call::{Call, Notes, Protocol};
use apisec_proto::exchange::Exchange;
use apisec_proto::namer::Namer;
use apisec_proto::path::{Target, decode_form};
use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::Value;
use std::collections::HashMap;
use std::thread::JoinHandle;
use tokio::sync::watch;

/// Calls of one second that are looked at, of all services together.
const PER_SECOND: u32 = 50;
/// Services among which they are divided; the others have what these leave.
const MAX_SERVICES: usize = 256;
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
    turns: Turns,
    /// Calls that were looked at, and those for which there was no time, since the start.
    pub(super) examined: u64,
    pub(super) left_out: u64,
}

/// Whose turn it is: every service that was called in the last second has an equal share of this one.
#[derive(Default)]
struct Turns {
    second: u64,
    taken: u32,
    /// Calls taken, by the numbers of services that asked.
    services: HashMap<u32, u32>,
    /// Services that asked in the second before.
    before: usize,
}

impl Turns {
    fn is_due(&mut self, second: u64, service: u32) -> bool {
        if second != self.second {
            (self.second, self.taken, self.before) = (second, 0, self.services.len());
            self.services.clear();
        }
        if self.services.len() < MAX_SERVICES {
            self.services.entry(service).or_default();
        }
        let share = PER_SECOND / u32::try_from(self.before.max(1)).unwrap_or(PER_SECOND);
        let own = self.services.get(&service).copied().unwrap_or(0);
        self.taken < PER_SECOND && own < share.max(1)
    }

    fn take(&mut self, service: u32) {
        self.taken += 1;
        self.services.entry(service).and_modify(|own| *own += 1);
    }
}

/// A copy of what one call said.
struct Sample {
    service: String,
    protocol: Protocol,
    method: String,
    path: String,
    status: u16,
    /// Media types and texts.
    request: Option<(String, Vec<u8>)>,
    answer: Option<(String, Vec<u8>)>,
    query: Vec<(String, String)>,
    /// Names of fields and cookies of a request that was accepted.
    sent: Option<Sent>,
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
        let known = [Protocol::Http1, Protocol::Http2, Protocol::Graphql, Protocol::Grpc];
        if !known.contains(&call.protocol) || !is_documented() {
            return;
        }
        if !self.turns.is_due(call.at / SECOND, call.dst.number) {
            self.left_out += 1;
            return;
        }
        let Some(sample) = Sample::of(exchange, call, namer) else { return };
        self.turns.take(call.dst.number);
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
    /// `None` when there is nothing to compare: it was refused without a body that is whole. What was refused says nothing
    /// about what is accepted.
    fn of(exchange: &Exchange<'_>, call: &Call, namer: &mut Namer) -> Option<Self> {
        let status = call.status?;
        let refused = status >= 400 || call.failed;
        let asked = &exchange.request;
        if call.protocol == Protocol::Grpc {
            return Self::of_messages(exchange, call).filter(|_| !refused);
        }
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
        let sent = (!refused).then(|| sent(exchange));
        (request.is_some() || answer.is_some() || sent.is_some()).then(|| Self {
            service: call.dst.workload.id.to_string(),
            protocol: call.protocol,
            method: call.method.to_string(),
            path: call.path.to_string(),
            status,
            request,
            answer,
            query,
            sent,
        })
    }

    /// Messages of gRPC, where they were captured to their end.
    fn of_messages(exchange: &Exchange<'_>, call: &Call) -> Option<Self> {
        let whole = |body: &[u8], size: u64| {
            let is_whole = body.len() as u64 == size && !body.is_empty() && body.len() <= MAX_BODY;
            is_whole.then(|| (String::new(), body.to_vec()))
        };
        let response = exchange.response.as_ref();
        let request = whole(exchange.request.body, exchange.request.sizes.body);
        let answer = response.and_then(|own| whole(own.body, own.sizes.body));
        (request.is_some() || answer.is_some()).then(|| Self {
            service: call.dst.workload.id.to_string(),
            protocol: call.protocol,
            method: call.method.to_string(),
            path: call.path.to_string(),
            status: call.status.unwrap_or_default(),
            request,
            answer,
            query: Vec::new(),
            sent: None,
        })
    }
}

/// Names of the fields of a request.
fn sent(exchange: &Exchange<'_>) -> Sent {
    let unknown =
        Notes(Notes::HEAD_TRUNCATED.0 | Notes::OPAQUE_FIELDS.0 | Notes::MID_STREAM.0 | Notes::GAP.0);
    let mut sent = Sent::new(exchange.notes.any(unknown));
    exchange.request.fields.each(&mut |name, value| sent.add(name, value));
    sent
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
        let told = match sample.protocol {
            Protocol::Graphql => graphql(&examiner, &sample),
            Protocol::Grpc => {
                let (request, answer) = (sample.request.as_ref(), sample.answer.as_ref());
                examiner.examine_grpc(&sample.path, request.map(bytes), answer.map(bytes))
            }
            _ => http(&mut examiner, &sample),
        };
        for (place, what) in told {
            let mismatch = Mismatch {
                service: sample.service.clone(),
                file: place.file.to_string(),
                pointer: place.pointer,
                what,
            };
            // When there are so many, the same will be found again.
            let _full = found.try_send(mismatch);
        }
    }
}

fn bytes(body: &(String, Vec<u8>)) -> &[u8] {
    &body.1
}

fn json(body: Option<&(String, Vec<u8>)>) -> Option<Value> {
    serde_json::from_slice(&body?.1).ok()
}

fn http(examiner: &mut Examiner, sample: &Sample) -> Vec<Found> {
    let mut exhibits = Vec::new();
    if let Some((value, (media, _))) = json(sample.request.as_ref()).zip(sample.request.as_ref()) {
        exhibits.push(Exhibit { part: Part::Request(media), value });
    }
    if let Some((value, (media, _))) = json(sample.answer.as_ref()).zip(sample.answer.as_ref()) {
        exhibits.push(Exhibit { part: Part::Answer(sample.status, media), value });
    }
    for (name, value) in &sample.query {
        exhibits.push(Exhibit { part: Part::Query(name), value: value.as_str().into() });
    }
    examiner.examine(&sample.method, &sample.path, &exhibits, sample.sent.as_ref())
}

/// The document is in the body, the first of a batch, or in the query.
fn graphql(examiner: &Examiner, sample: &Sample) -> Vec<Found> {
    let body = json(sample.request.as_ref());
    let body = body.as_ref().map(|body| body.get(0).unwrap_or(body));
    let parameter = |name: &str| {
        let mut all = sample.query.iter();
        all.find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    };
    let text = |name: &str| body.and_then(|body| body.get(name)?.as_str()).or_else(|| parameter(name));
    let sent = parameter("variables").and_then(|text| serde_json::from_str::<Value>(text).ok());
    let variables = body.and_then(|body| body.get("variables")).or(sent.as_ref());
    let Some(document) = text("query") else { return Vec::new() };
    let answer = json(sample.answer.as_ref());
    let data = answer.as_ref().and_then(|answer| answer.get(0).unwrap_or(answer).get("data"));
    examiner.examine_graphql(&Request { document, operation: text("operationName"), variables, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noisy_service_leaves_the_others_their_share() {
        let mut turns = Turns::default();
        let mut taken = |second: u64, service: u32| {
            let is_due = turns.is_due(second, service);
            is_due.then(|| turns.take(service)).is_some()
        };
        assert_eq!((0..200).filter(|_| taken(1, 1)).count(), 50, "alone it has all");
        assert_eq!((0..200).filter(|_| taken(2, 1)).count(), 50);
        assert!(!taken(2, 2), "nobody knew of it");
        assert_eq!((0..200).filter(|_| taken(3, 1)).count(), 25);
        assert_eq!((0..200).filter(|_| taken(3, 2)).count(), 25);
    }

    #[test]
    fn queries_are_decoded_as_forms() {
        assert_eq!(decoded(b"a+b%20c%C3%A4%zz%"), "a b c\u{e4}%zz%");
    }
}
