//! A collector of OpenTelemetry: log records over OTLP/HTTP with JSON.

use super::address::{Access, Kind};
use super::http::Place;
use super::{Refusal, Sender};
use apisec_engine::export::otlp;
use apisec_engine::finding::Finding;

/// The kind.
pub(super) const KIND: Kind = Kind { name: "otlp", about: "http:// or https://HOST[:4318]", open };

struct Collector {
    place: Place,
    access: Access,
}

fn open(address: &str, access: &Access) -> Result<Box<dyn Sender>, String> {
    Ok(Box::new(Collector { place: Place::parse(address)?.or_path("/v1/logs"), access: access.clone() }))
}

impl Sender for Collector {
    fn send(&mut self, findings: &[Finding]) -> Result<(), Refusal> {
        let request = otlp::request(findings, env!("CARGO_PKG_VERSION"));
        self.place.post(&self.access, &request.to_string())
    }
}
