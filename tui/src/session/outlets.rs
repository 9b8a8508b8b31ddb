//! Where findings, metrics, and what is done to this node go, besides the terminal.

use super::Session;
use crate::exit::Failure;
use crate::settings::Settings;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_probe::forward::Forwarder;
use apisec_probe::metrics::Exporter;
use apisec_probe::store::audit::Audit;

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

    /// Where it is written down what is done to this node; `None` where nothing may be done to it.
    pub(super) fn audit(&self, degradations: &mut Vec<Degradation>) -> Option<Audit> {
        if !self.live || self.settings.read_only {
            return None;
        }
        let Some(folder) = self.settings.state.as_deref() else { return Some(Audit::nowhere()) };
        match Audit::in_folder(folder) {
            Ok(audit) => Some(audit),
            Err(error) => {
                degradations.push(Degradation {
                    code: "audit-not-kept".into(),
                    severity: Severity::Notice,
                    what: format!(
                        "connections cannot be closed: nothing can be written down in {}: {error}",
                        folder.display()
                    ),
                    remedy: "give another folder with --state DIR".into(),
                });
                None
            }
        }
    }
}
