//! All orders as comma-separated values, some per chunk, of a length that is not known beforehand.

use super::Order;
use hyper::body::{Body, Bytes, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Orders in one chunk.
const PER_CHUNK: usize = 25;

/// The body of the export.
pub(super) struct Export {
    orders: std::vec::IntoIter<Order>,
    header: Option<&'static str>,
}

impl Export {
    /// An export of `orders`, in their order.
    pub(super) fn new(orders: Vec<Order>) -> Self {
        Self { orders: orders.into_iter(), header: Some("order,user,total_cents,state\n") }
    }

    fn chunk(&mut self) -> Option<String> {
        let lines = self.orders.by_ref().take(PER_CHUNK);
        let lines = lines.map(|o| format!("{},{},{},{}\n", o.order, o.user, o.total_cents, o.state));
        let text = self.header.take().map(str::to_owned).into_iter().chain(lines).collect::<String>();
        (!text.is_empty()).then_some(text)
    }
}

impl Body for Export {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().chunk().map(|text| Ok(Frame::data(Bytes::from(text)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_in_exactly_one_chunk() {
        let order = |order| Order { order, user: 1, total_cents: 2, state: "paid", charge: String::new() };
        let mut export = Export::new((0..60).map(order).collect());
        let chunks = std::iter::from_fn(|| export.chunk()).collect::<Vec<_>>();
        assert_eq!(chunks.len(), 3);
        assert_eq!(chunks.concat().lines().count(), 61);
        assert!(chunks[0].starts_with("order,user"));
    }

    #[test]
    fn an_empty_export_has_its_header() {
        let mut export = Export::new(Vec::new());
        assert_eq!(export.chunk().as_deref(), Some("order,user,total_cents,state\n"));
        assert_eq!(export.chunk(), None);
    }
}
