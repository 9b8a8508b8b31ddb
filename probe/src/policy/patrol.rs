//! A capture of its own that lives for policies which need one while no terminal looks: it closes connections after the fact
//! and counts what passes. It keeps and shows nothing.

use super::sentry::Sentry;
use crate::attach::{Bodies, Own};
use crate::identity::{LocalIdentity, seed};
use crate::pipeline::{self, Bounds, Config, Detection, Running};
use crate::source::live::Live;
use apisec_engine::knowledge::ZOMBIE_AFTER;
use std::path::Path;

/// Share of a core that it takes before it sheds work.
const CPU_SHARE: f64 = 0.5;

/// The running capture; dropping it detaches it.
pub struct Patrol {
    /// Who looks.
    pub sentry: Sentry,
    _running: Running,
}

impl Patrol {
    /// Starts it; identities are hashed with `key`, that of the installation.
    ///
    /// # Errors
    /// In words, why nothing can be captured.
    pub fn start(key: [u8; 32], journal: &Path) -> Result<Self, String> {
        let sentry = Sentry::start(journal).map_err(|error| error.to_string())?;
        let config = Config {
            key,
            on_call: Some(sentry.sink()),
            cpu_share: CPU_SHARE,
            ..look().map_err(|error| error.to_string())?
        };
        let running = pipeline::start(config).map_err(|error| error.to_string())?;
        Ok(Self { sentry, _running: running })
    }
}

/// What captures this node and keeps nothing.
///
/// # Errors
/// Nothing can be captured here.
pub fn look() -> Result<Config, crate::source::SourceError> {
    Ok(Config {
        source: Box::new(Live::start(Own::Excluded, Bodies::Heads, seed)?),
        identity: Box::new(LocalIdentity::start()?),
        key: [0; 32],
        rules: Vec::new(),
        specs: Vec::new(),
        zombie_after: ZOMBIE_AFTER,
        history: Vec::new(),
        keeper: None,
        detection: Detection::default(),
        forwarder: None,
        exporter: None,
        on_call: None,
        recorder: None,
        sample_bodies: 0,
        live_view: false,
        bounds: Bounds::default(),
        cpu_share: f64::INFINITY,
        audit: None,
        degradations: Vec::new(),
    })
}
