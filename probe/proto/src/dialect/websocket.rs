//! Messages of WebSockets: one call each, `SEND` by the client and `RECEIVE` from the server, under the path of the upgrade.
//!
//! Where a message is JSON that says what kind it is (`{"type": "subscribe"}`, `["join", …]`), the kind is the operation.

use super::{Dialect, Scratch, set_target};
use crate::call::{Call, Protocol};
use crate::exchange::{Exchange, Frame, Wire};
use crate::json::{self, Value};
use crate::operation::{self, is_kind};
use crate::path::Target;
use compact_str::{CompactString, format_compact};

/// Members that say what kind of message it is, the most telling first.
const KINDS: [&[u8]; 9] =
    [b"type", b"event", b"action", b"op", b"method", b"command", b"cmd", b"kind", b"messageType"];
/// Close codes that are no failure (RFC 6455 §7.4.1): normal, going away, none given.
const CALM_CODES: [u16; 3] = [1000, 1001, 1005];

/// See the module.
pub struct Websocket;

impl Dialect for Websocket {
    fn name(&self) -> &'static str {
        "websocket"
    }

    fn claims(&self, exchange: &Exchange<'_>) -> bool {
        matches!(exchange.wire, Wire::Websocket(_))
    }

    fn describe(&self, exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Scratch, call: &mut Call) {
        set_target(exchange, target, scratch, call);
        call.protocol = Protocol::Websocket;
        call.operation.clear();
        let message = exchange.response.as_ref().map_or(exchange.request.body, |response| response.body);
        match exchange.wire {
            Wire::Websocket(Frame::Close) => close(message, call),
            Wire::Websocket(Frame::Text) => kind(message, &mut scratch.text, &mut call.operation),
            _ => {}
        }
    }
}

/// The close code, when there is one.
fn close(message: &[u8], call: &mut Call) {
    call.operation.push_str("close");
    let code = message.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
    call.app_status = Some(i32::from(code));
    call.failed = !CALM_CODES.contains(&code);
}

/// Writes the kind of a message, when it says one.
pub(super) fn kind(message: &[u8], scratch: &mut Vec<u8>, operation: &mut CompactString) {
    // Engine.IO and Socket.IO number their packets.
    let digits = message.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let message = message.get(digits..).unwrap_or_default().trim_ascii_start();
    match message.first() {
        Some(b'{') => of_object(message, scratch, operation),
        Some(b'[') => {
            let mut elements = json::array(message);
            while let Some(element) = elements.as_mut().and_then(json::Tokens::element) {
                if set_kind(&element, scratch, operation) {
                    return;
                }
            }
        }
        Some(b'A'..=b'Z') => of_command(message, operation),
        _ => {}
    }
}

fn of_object(message: &[u8], scratch: &mut Vec<u8>, operation: &mut CompactString) {
    let mut best = KINDS.len();
    let mut members = json::object(message);
    while let Some((key, value)) = members.as_mut().and_then(json::Tokens::member) {
        let Some(rank) = KINDS.iter().position(|kind| *kind == key.raw).filter(|rank| *rank < best) else {
            continue;
        };
        let number = value.integer().filter(|number| key.raw == b"op" && (0..256).contains(number));
        if let Some(number) = number {
            *operation = format_compact!("op:{number}");
            best = rank;
        } else if set_kind(&value, scratch, operation) {
            best = rank;
        }
    }
}

fn set_kind(value: &Value<'_>, scratch: &mut Vec<u8>, operation: &mut CompactString) -> bool {
    let Some(text) = value.text().filter(|text| text.whole) else { return false };
    let word = text.unescaped(scratch);
    let named = is_kind(word);
    if named {
        operation::set(word, operation);
    }
    named
}

/// A command alone on its line, as in STOMP.
fn of_command(message: &[u8], operation: &mut CompactString) {
    let line = message.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    if line.len() < message.len() && (3..=16).contains(&line.len()) && line.iter().all(u8::is_ascii_uppercase)
    {
        operation::set(line, operation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(message: &str) -> String {
        let mut operation = CompactString::default();
        kind(message.as_bytes(), &mut Vec::new(), &mut operation);
        operation.into()
    }

    #[test]
    fn kinds() {
        for (message, name) in [
            (r#"{"id":1,"type":"subscribe","payload":{"type":"inner"}}"#, "subscribe"),
            (r#"{"method":"a","event":"order.created"}"#, "order.created"),
            (r#"{"event":"order.created","method":"a"}"#, "order.created"),
            (r#"{"op":10,"d":{}}"#, "op:10"),
            (r#"42["chat:message",{"text":"hi"}]"#, "chat:message"),
            (r#"["1","2","room","join",{}]"#, "room"),
            ("SUBSCRIBE\nid:0\ndestination:/queue\n\n\0", "SUBSCRIBE"),
            (r#"{"type":"550e8400-e29b-41d4-a716-446655440000"}"#, ""),
            (r#"{"type":"ada@example.com"}"#, ""),
            (r#"{"type":"subscr"#, ""),
            ("hello there", ""),
            ("HELLO", ""),
            ("", ""),
        ] {
            assert_eq!(of(message), name, "{message}");
        }
    }
}
