//! The Model Context Protocol over HTTP: JSON-RPC whose methods are its own. The operation is the method, with the name
//! of the tool or prompt where one is called.

use super::jsonrpc::{Request, is_likely, settle};
use super::{Dialect, Scratch, set_target};
use crate::call::{Call, Notes, Protocol};
use crate::exchange::Exchange;
use crate::operation;
use crate::path::Target;

/// What its methods begin with.
const FAMILIES: [&[u8]; 9] = [
    b"tools/",
    b"resources/",
    b"prompts/",
    b"notifications/",
    b"completion/",
    b"logging/",
    b"sampling/",
    b"roots/",
    b"elicitation/",
];

/// See the module.
pub struct Mcp;

impl Dialect for Mcp {
    fn name(&self) -> &'static str {
        "mcp"
    }

    fn claims(&self, exchange: &Exchange<'_>) -> bool {
        is_likely(exchange)
            && Request::read(exchange.request.body)
                .is_some_and(|request| is_method(request.method.raw, exchange))
    }

    fn describe(&self, exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Scratch, call: &mut Call) {
        set_target(exchange, target, scratch, call);
        call.protocol = Protocol::Mcp;
        if let Some(request) = Request::read(exchange.request.body) {
            let method = request.method.unescaped(&mut scratch.text);
            operation::set(method, &mut call.operation);
            if matches!(method, b"tools/call" | b"prompts/get")
                && let Some(name) = name(&request)
            {
                call.operation.push(' ');
                operation::push(name.unescaped(&mut scratch.text), &mut call.operation);
            }
            call.notes.add(if request.batch { Notes::BATCH } else { Notes::default() });
        }
        settle(exchange, scratch, call);
    }
}

/// The member `name` of the parameters.
fn name<'a>(request: &Request<'a>) -> Option<crate::json::Text<'a>> {
    let mut members = request.params?.object()?;
    while let Some((key, value)) = members.member() {
        if key.raw == b"name" {
            return value.text().filter(|text| text.whole);
        }
    }
    None
}

/// A method of the protocol; those that others have too must come with one of its fields.
fn is_method(method: &[u8], exchange: &Exchange<'_>) -> bool {
    let has = |name: &str| exchange.request.fields.get(name).is_some();
    let streams = || {
        let accept = exchange.request.fields.get("accept").unwrap_or_default();
        memchr::memmem::find(accept, b"text/event-stream").is_some()
    };
    // A server of JSON-RPC may have `tools/` of its own, but its clients do not speak of sessions or streams.
    let speaks = || has("mcp-session-id") || has("mcp-protocol-version") || streams();
    match method {
        b"initialize" | b"ping" => speaks(),
        _ => FAMILIES.iter().any(|family| method.starts_with(family)) && speaks(),
    }
}

#[cfg(test)]
mod tests {
    use crate::call::{Call, Protocol};
    use crate::fixture::{exchange, named};

    fn of(request: &str, answer_type: &str, answer: &str) -> Call {
        let mut exchange = exchange("POST", "/mcp", "application/json", request, 200, answer_type, answer);
        exchange.request_fields.push(("Accept", "application/json, text/event-stream".into()));
        named(&exchange)
    }

    #[test]
    fn a_tool_is_an_operation() {
        let request = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"get_weather","arguments":{"city":"Oslo"}}}"#;
        let call = of(
            request,
            "application/json",
            r#"{"jsonrpc":"2.0","id":3,"result":{"content":[],"isError":true}}"#,
        );
        assert_eq!(
            (call.protocol, &*call.operation, call.failed),
            (Protocol::Mcp, "tools/call get_weather", true)
        );
        let streamed =
            "event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32602}}\r\n\r\n";
        let call = of(request, "text/event-stream", streamed);
        assert_eq!((call.protocol, call.app_status), (Protocol::Mcp, Some(-32_602)));
    }

    #[test]
    fn other_methods_and_other_protocols() {
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        let call =
            of(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#, "application/json", answer);
        assert_eq!((call.protocol, &*call.operation), (Protocol::Mcp, "initialize"));
        let call = of(r#"{"jsonrpc":"2.0","id":1,"method":"tools"}"#, "application/json", answer);
        assert_eq!(call.protocol, Protocol::Jsonrpc);
        let request = r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#;
        let call =
            named(&exchange("POST", "/lsp", "application/json", request, 200, "application/json", answer));
        assert_eq!(call.protocol, Protocol::Jsonrpc);
    }
}
