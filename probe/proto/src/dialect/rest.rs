//! REST, and everything over HTTP that is nothing more special: the operation is method and path.

use super::Dialect;
use crate::call::{Call, Protocol};
use crate::exchange::Exchange;
use crate::path::{Target, normalise, query_names};

/// Longest method that a call shows.
const MAX_METHOD: usize = 24;

/// The dialect of last resort.
pub struct Rest;

impl Dialect for Rest {
    fn name(&self) -> &'static str {
        "rest"
    }

    fn claims(&self, _: &Exchange<'_>) -> bool {
        true
    }

    fn describe(&self, exchange: &Exchange<'_>, scratch: &mut Vec<u8>, call: &mut Call) {
        let method = exchange.request.method;
        let target = Target::parse(exchange.request.target, method == b"CONNECT");
        call.protocol = Protocol::Http1;
        call.method.clear();
        let shown = method.get(..MAX_METHOD).unwrap_or(method);
        call.method.extend(shown.iter().filter(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)));
        normalise(target.path, scratch, &mut call.path);
        query_names(target.query, scratch, &mut call.query);
    }
}
