//! GraphQL over HTTP: POST, GET, batches, multipart requests, persisted queries.
//!
//! The method becomes the kind of operation, the operation its root fields in order of name. Errors come with
//! status 200: they are counted and make the call a failure. What the server did not accept as a document has no name.

mod document;
mod request;

use super::{Dialect, Scratch, answer, answers_with, set_target};
use crate::call::{Call, GraphqlCost, Notes, Protocol};
use crate::exchange::Exchange;
use crate::json;
use crate::operation::{self, MAX_OPERATION};
use crate::path::Target;
use compact_str::CompactString;
use document::{Document, Fields};
use request::{Asked, asked};

/// Operation of a document that was refused before any field was looked at.
const INVALID: &str = "{invalid}";
/// Root fields that an operation is called by.
const SHOWN_FIELDS: usize = 8;
/// Errors of one answer that are counted.
const MAX_ERRORS: i32 = 1000;

/// See the module.
pub struct Graphql;

impl Dialect for Graphql {
    fn name(&self) -> &'static str {
        "graphql"
    }

    fn claims(&self, exchange: &Exchange<'_>) -> bool {
        request::is_likely(exchange)
            && (answers_with(exchange, b"\"data\"") || answers_with(exchange, b"\"errors\""))
    }

    fn describe(&self, exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Scratch, call: &mut Call) {
        set_target(exchange, target, scratch, call);
        call.protocol = Protocol::Graphql;
        call.operation.clear();
        let Scratch { text, unpacker } = scratch;
        let mut cost = GraphqlCost::default();
        asked(exchange, target, text, &mut |asked| name(asked, &mut cost, call));
        **call.graphql.get_or_insert_default() = cost;
        if cost.batch > 1 {
            call.notes.add(Notes::BATCH);
        }
        let outcome = outcome(answer(exchange, unpacker));
        if outcome.errors > 0 {
            (call.app_status, call.failed) = (Some(outcome.errors), true);
            if !outcome.executed {
                call.operation.clear();
                call.operation.push_str(INVALID);
            }
        }
    }
}

/// Takes one operation of a request into account; the first one names the call.
fn name(asked: &Asked<'_>, cost: &mut GraphqlCost, call: &mut Call) {
    cost.batch = cost.batch.saturating_add(1);
    let first = cost.batch == 1;
    let Some(document) = Document::skim(asked.document, asked.whole) else {
        if asked.persisted {
            call.notes.add(Notes::PERSISTED);
        }
        if first && asked.persisted {
            operation::set(asked.operation, &mut call.operation);
        }
        return;
    };
    cost.depth = cost.depth.max(document.depth);
    cost.aliases = cost.aliases.saturating_add(document.aliases);
    cost.tokens = cost.tokens.saturating_add(document.tokens);
    let Some((kind, fields)) = document.operation(asked.operation) else { return };
    if fields.iter().any(|field| matches!(*field, b"__schema" | b"__type")) {
        call.notes.add(Notes::INTROSPECTION);
    }
    if first {
        call.method.clear();
        call.method.push_str(kind.name());
        join(&fields, &mut call.operation);
    }
}

/// The root fields, separated by commas; those beyond the first are only counted.
fn join(fields: &Fields<'_>, operation: &mut CompactString) {
    // Every client asks for `__typename` along with what it wants.
    let named = || fields.iter().filter(|field| fields.len() == 1 || **field != b"__typename");
    for (n, field) in named().take(SHOWN_FIELDS).enumerate() {
        if operation.len() + field.len() + 1 > MAX_OPERATION - 4 {
            break;
        }
        if n > 0 {
            operation.push(',');
        }
        operation::push(field, operation);
    }
    if named().count() > SHOWN_FIELDS {
        operation.push_str(",+");
    }
}

/// What an answer says of its success.
#[derive(Default)]
struct Outcome {
    errors: i32,
    /// The document was executed: there is data, or an error that says where in it.
    executed: bool,
}

fn outcome(body: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    if let Some(mut results) = json::array(body) {
        while let Some(result) = results.element() {
            outcome.read(result.raw);
        }
    } else {
        outcome.read(body);
    }
    outcome
}

impl Outcome {
    fn read(&mut self, result: &[u8]) {
        let Some(mut members) = json::object(result) else { return };
        while let Some((key, value)) = members.member() {
            match key.raw {
                // Some servers say that there is none (GraphQL §7.1.2 forbids it where nothing was executed).
                b"data" => self.executed |= value.raw != b"null",
                b"errors" => self.count(value.array()),
                _ => {}
            }
        }
    }
}

impl Outcome {
    fn count(&mut self, mut errors: Option<json::Tokens<'_>>) {
        while let Some(error) =
            errors.as_mut().and_then(json::Tokens::element).filter(|_| self.errors < MAX_ERRORS)
        {
            self.errors += 1;
            let mut members = error.object();
            while let Some((key, _)) = members.as_mut().and_then(json::Tokens::member) {
                self.executed |= key.raw == b"path";
            }
        }
    }
}

#[cfg(test)]
mod tests;
