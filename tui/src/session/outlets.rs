//! Where findings and metrics go, besides the terminal.

use super::Session;
use crate::exit::Failure;
use crate::settings::Settings;
use apisec_probe::forward::Forwarder;
use apisec_probe::metrics::Exporter;

impl Session<'_> {
    /// Sends findings where the operator wants them.
    pub(super) fn forwarder(&self) -> Result<Option<Forwarder>, Failure> {
        let Settings { send, send_least, state, .. } = &self.settings;
        if send.is_empty() {
            return Ok(None);
        }
        let started = Forwarder::start(send, *send_least, state.as_deref());
        started.map(Some).map_err(|error| {
            Failure::new(
                format!("findings that wait to be sent cannot be kept in the state folder: {error}"),
                "repair it, or give another with --state DIR, or none with --no-state",
            )
        })
    }

    /// Hands metrics to the collectors that the operator named.
    pub(super) fn exporter(&self) -> Result<Option<Exporter>, Failure> {
        if self.settings.metrics.is_empty() {
            return Ok(None);
        }
        Exporter::start(&self.settings.metrics).map(Some).map_err(|(collector, error)| {
            Failure::new(format!("metrics cannot be handed to {collector}: {error}"), "give another address")
        })
    }
}
