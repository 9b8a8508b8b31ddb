//! Server-sent events: each is a call of its own, `RECEIVE` under the path of the stream. The operation is the name of
//! the event, or the kind that its data says.

use super::websocket::kind;
use super::{Dialect, Scratch, set_target};
use crate::call::{Call, Protocol};
use crate::exchange::{Exchange, Wire};
use crate::operation::{self, is_kind};
use crate::path::Target;

/// See the module.
pub struct Sse;

impl Dialect for Sse {
    fn name(&self) -> &'static str {
        "sse"
    }

    fn claims(&self, exchange: &Exchange<'_>) -> bool {
        exchange.wire == Wire::Events
    }

    fn describe(&self, exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Scratch, call: &mut Call) {
        set_target(exchange, target, scratch, call);
        call.protocol = Protocol::Sse;
        call.operation.clear();
        let event = exchange.response.as_ref().map_or(&[][..], |response| response.body);
        let lines = || event.split(|byte| matches!(byte, b'\n' | b'\r'));
        let name =
            lines().filter_map(|line| line.strip_prefix(b"event:")).next_back().map(<[u8]>::trim_ascii);
        match name {
            // What an event is called when it has no name.
            Some(name) if is_kind(name) && name != b"message" => operation::set(name, &mut call.operation),
            _ => {
                if let Some(data) = lines().find_map(|line| line.strip_prefix(b"data:")) {
                    kind(data.trim_ascii(), &mut scratch.text, &mut call.operation);
                }
            }
        }
    }
}
