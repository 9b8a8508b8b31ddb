//! A collector of OpenTelemetry is told, every [`EVERY`]: OTLP/HTTP with JSON.

use super::{Feed, Kind};
use crate::forward::{Access, Place, Refusal};
use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The kind.
pub(super) const KIND: Kind =
    Kind { name: "otlp", about: "http:// or https://HOST[:4318] to be told", check, start };

/// Between two requests: what collectors are used to is a quarter of a minute to a minute.
const EVERY: Duration = Duration::from_secs(15);
/// Longest pause after a refusal.
const LONGEST: Duration = Duration::from_secs(120);

fn check(address: &str) -> Result<(), String> {
    Place::parse(address).map(drop)
}

fn start(address: &str, access: &Access, feed: Feed) -> io::Result<JoinHandle<()>> {
    let place = Place::parse(address).map_err(io::Error::other)?.or_path("/v1/metrics");
    let access = access.clone();
    std::thread::Builder::new().name("apisec-otlp".into()).spawn(move || tell(&place, &access, &feed))
}

fn tell(place: &Place, access: &Access, feed: &Feed) {
    let mut pause = EVERY;
    let mut next = Instant::now() + Duration::from_secs(2);
    loop {
        while Instant::now() < next && !feed.is_over() {
            std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
        }
        let body = feed.metrics().otlp(env!("CARGO_PKG_VERSION"), &access.host).to_string();
        let over = feed.is_over();
        pause = match place.post(access, &body) {
            Ok(()) => {
                feed.tell(None);
                EVERY
            }
            Err(Refusal::Later(why, _) | Refusal::Never(why)) => {
                feed.tell(Some(why));
                (pause * 2).min(LONGEST)
            }
        };
        // The last ones are told once, whether they are taken or not.
        if over {
            return;
        }
        next = Instant::now() + pause;
    }
}
