//! JSON-RPC 2.0 over HTTP: the operation is the method. The code of an error is what the application answered.

use super::{Dialect, Scratch, answer, answers_with, set_target};
use crate::call::{Call, Notes, Protocol};
use crate::exchange::Exchange;
use crate::json::{self, Text, Value};
use crate::operation;
use crate::path::Target;
use memchr::memmem;

/// The code of an error that says that there is no such method.
const METHOD_NOT_FOUND: i32 = -32_601;
/// Operation of a method that the server does not have.
const UNKNOWN: &str = "{unknown}";

/// See the module.
pub struct Jsonrpc;

impl Dialect for Jsonrpc {
    fn name(&self) -> &'static str {
        "jsonrpc"
    }

    fn claims(&self, exchange: &Exchange<'_>) -> bool {
        is_likely(exchange) && Request::read(exchange.request.body).is_some()
    }

    fn describe(&self, exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Scratch, call: &mut Call) {
        set_target(exchange, target, scratch, call);
        call.protocol = Protocol::Jsonrpc;
        if let Some(request) = Request::read(exchange.request.body) {
            operation::set(request.method.unescaped(&mut scratch.text), &mut call.operation);
            call.notes.add(if request.batch { Notes::BATCH } else { Notes::default() });
        }
        settle(exchange, scratch, call);
    }
}

/// Costs a search for an exchange that is not JSON-RPC.
pub(super) fn is_likely(exchange: &Exchange<'_>) -> bool {
    exchange.request.method == b"POST"
        && memmem::find(exchange.request.body, b"\"jsonrpc\"").is_some()
        && answers_with(exchange, b"\"jsonrpc\"")
}

/// A request, or the first one of a batch.
pub(super) struct Request<'a> {
    pub(super) method: Text<'a>,
    pub(super) params: Option<Value<'a>>,
    pub(super) batch: bool,
}

impl<'a> Request<'a> {
    /// `None` when the document, as far as it was captured, is no request of this version.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let first = json::array(body).map(|mut batch| batch.element());
        let (mut members, batch) = match first {
            Some(first) => (first?.object()?, true),
            None => (json::object(body)?, false),
        };
        let (mut version, mut method, mut params) = (false, None, None);
        while let Some((key, value)) = members.member() {
            match key.raw {
                b"jsonrpc" => version = value.text().is_some_and(|text| text.raw == b"2.0"),
                b"method" => method = value.text().filter(|text| text.whole),
                b"params" => params = Some(value),
                _ => {}
            }
        }
        // The version may stand behind parameters that were cut.
        let version = version || memmem::find(body, b"\"2.0\"").is_some();
        method.filter(|_| version).map(|method| Self { method, params, batch })
    }
}

/// What the application answered.
pub(super) fn settle(exchange: &Exchange<'_>, scratch: &mut Scratch, call: &mut Call) {
    let Scratch { unpacker, .. } = scratch;
    let body = answer(exchange, unpacker);
    // A stream of events begins with the answer as its first data.
    let body = if body.first() == Some(&b'{') { body } else { event_data(body).unwrap_or(body) };
    let first = json::array(body).and_then(|mut batch| batch.element());
    let Some(mut members) = first.map_or_else(|| json::object(body), |first| first.object()) else { return };
    while let Some((key, value)) = members.member() {
        let Some(mut inner) = value.object() else { continue };
        match key.raw {
            b"error" => {
                call.failed = true;
                while let Some((key, value)) = inner.member() {
                    if key.raw == b"code" {
                        call.app_status = value.integer();
                    }
                }
            }
            b"result" => {
                while let Some((key, value)) = inner.member() {
                    call.failed |= key.raw == b"isError" && value.is_true();
                }
            }
            _ => {}
        }
    }
    if call.app_status == Some(METHOD_NOT_FOUND) {
        call.operation.clear();
        call.operation.push_str(UNKNOWN);
    }
}

/// The first data of a stream of events.
fn event_data(body: &[u8]) -> Option<&[u8]> {
    let mut lines = body.split(|byte| *byte == b'\n');
    lines.find_map(|line| line.strip_prefix(b"data:")).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use crate::call::{Call, Notes, Protocol};
    use crate::fixture::{exchange, named};

    fn of(request: &str, status: u16, answer: &str) -> Call {
        named(&exchange("POST", "/rpc", "application/json", request, status, "application/json", answer))
    }

    #[test]
    fn methods_are_operations() {
        let call = of(
            r#"{"jsonrpc":"2.0","id":1,"method":"user.get","params":{"id":7}}"#,
            200,
            r#"{"jsonrpc":"2.0","id":1,"result":{"name":"Ada"}}"#,
        );
        assert_eq!((call.protocol, &*call.method, &*call.operation), (Protocol::Jsonrpc, "POST", "user.get"));
        assert_eq!((call.app_status, call.failed, call.is_error()), (None, false, false));
    }

    #[test]
    fn an_error_is_a_failure_with_its_code() {
        let call = of(
            r#"{"method":"user.get","jsonrpc":"2.0","id":1}"#,
            200,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"x"}}"#,
        );
        assert_eq!((call.app_status, call.is_error(), &*call.operation), (Some(-32_602), true, "user.get"));
    }

    #[test]
    fn a_method_that_does_not_exist_makes_no_endpoint() {
        let call = of(
            r#"{"jsonrpc":"2.0","id":1,"method":"x1y2"}"#,
            200,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"x"}}"#,
        );
        assert_eq!((&*call.operation, call.failed), ("{unknown}", true));
    }

    #[test]
    fn batches_and_notifications() {
        let batch = r#"[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"b"}]"#;
        let call = of(batch, 204, "");
        assert_eq!(&*call.operation, "a");
        assert!(call.notes.any(Notes::BATCH));
    }

    #[test]
    fn what_is_not_answered_like_it_is_not_claimed() {
        for (request, status, answer) in [
            (r#"{"jsonrpc":"2.0","method":"a"}"#, 404, ""),
            (r#"{"jsonrpc":"2.0","method":"a"}"#, 200, r#"{"ok":true}"#),
            (r#"{"jsonrpc":"2.0","method":"a"}"#, 200, "<html>"),
            (r#"{"jsonrpc":"1.0","method":"a"}"#, 200, r#"{"jsonrpc":1}"#),
            (r#"{"method":"a"}"#, 200, r#"{"jsonrpc":"2.0"}"#),
        ] {
            assert_eq!(of(request, status, answer).protocol, Protocol::Http1, "{request} {answer}");
        }
    }
}
