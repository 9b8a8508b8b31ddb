//! A web hook: the findings of a batch as one JSON document, `{"findings": […]}`, with POST.

use super::address::{Access, Kind};
use super::http::Place;
use super::{Refusal, Sender};
use apisec_engine::finding::Finding;
use serde_json::json;

/// The kind.
pub(super) const KIND: Kind = Kind { name: "webhook", about: "http:// or https://HOST[:PORT]/PATH", open };

struct Webhook {
    place: Place,
    access: Access,
}

fn open(address: &str, access: &Access) -> Result<Box<dyn Sender>, String> {
    Ok(Box::new(Webhook { place: Place::parse(address)?, access: access.clone() }))
}

impl Sender for Webhook {
    fn send(&mut self, findings: &[Finding]) -> Result<(), Refusal> {
        let document = json!({"schema": "apisec-top/1", "findings": findings});
        self.place.post(&self.access, &document.to_string())
    }
}
