//! REST, and everything over HTTP that is nothing more special: the operation is method and path.

use super::{Dialect, Scratch, set_target};
use crate::call::{Call, Protocol};
use crate::exchange::{Exchange, Wire};
use crate::path::Target;

/// The dialect of last resort.
pub struct Rest;

impl Dialect for Rest {
    fn name(&self) -> &'static str {
        "rest"
    }

    fn claims(&self, _: &Exchange<'_>) -> bool {
        true
    }

    fn describe(&self, exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Scratch, call: &mut Call) {
        call.protocol = if exchange.wire == Wire::Http2 { Protocol::Http2 } else { Protocol::Http1 };
        call.operation.clear();
        set_target(exchange, target, scratch, call);
    }
}
