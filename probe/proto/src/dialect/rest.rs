//! REST, and everything over HTTP that is nothing more special: the operation is method and path.

use super::Dialect;
use crate::call::{Call, Notes, Protocol};
use crate::exchange::{Exchange, Wire};
use crate::path::{Target, normalise, query_names};
use compact_str::CompactString;

/// Longest method that a call shows.
const MAX_METHOD: usize = 24;
/// What stands for a path whose compressed field is not known.
const OPAQUE: &str = "/{opaque}";

/// The dialect of last resort.
pub struct Rest;

impl Dialect for Rest {
    fn name(&self) -> &'static str {
        "rest"
    }

    fn claims(&self, _: &Exchange<'_>) -> bool {
        true
    }

    fn describe(&self, exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Vec<u8>, call: &mut Call) {
        call.protocol = if exchange.wire == Wire::Http2 { Protocol::Http2 } else { Protocol::Http1 };
        set_method(exchange.request.method, &mut call.method);
        call.operation.clear();
        set_path(exchange, target, scratch, &mut call.path);
        query_names(target.query, scratch, &mut call.query);
    }
}

/// The normalised path, or what stands for one that is not known.
pub(super) fn set_path(
    exchange: &Exchange<'_>,
    target: &Target<'_>,
    scratch: &mut Vec<u8>,
    path: &mut CompactString,
) {
    if exchange.request.target.is_empty() && exchange.notes.any(Notes::OPAQUE_FIELDS) {
        path.clear();
        path.push_str(OPAQUE);
        return;
    }
    normalise(target.path, scratch, path);
}

/// A method without what no token contains.
pub(super) fn set_method(method: &[u8], shown: &mut CompactString) {
    let method = method.get(..MAX_METHOD).unwrap_or(method);
    if shown.as_bytes() == method {
        return;
    }
    shown.clear();
    shown.extend(method.iter().filter(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)));
}
