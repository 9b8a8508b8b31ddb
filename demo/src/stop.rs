//! The wish to stop: SIGINT or SIGTERM, seen by everything in the process that waits.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// SIGINT and SIGTERM of this process, held from now on: neither kills it any more.
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Takes the signals over.
    ///
    /// # Errors
    /// When no handler can be installed.
    pub(crate) fn new() -> Result<Self> {
        let hold = |kind| signal(kind).context("cannot handle signals");
        Ok(Self { terminate: hold(SignalKind::terminate())?, interrupt: hold(SignalKind::interrupt())? })
    }

    /// Waits for either signal.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}

/// A wish to stop that many tasks can wait for.
#[derive(Clone)]
pub(crate) struct Stopping(watch::Receiver<bool>);

/// The end that expresses the wish.
pub(crate) struct Stopper(watch::Sender<bool>);

/// A connected pair.
pub(crate) fn stopping() -> (Stopper, Stopping) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stopping(receiver))
}

impl Stopper {
    /// Tells every holder of the other end.
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stopping {
    /// Returns once the wish was expressed, at once if it was before, and also when nobody is left to express it.
    pub(crate) async fn wait(&mut self) {
        let _nobody_left = self.0.wait_for(|stop| *stop).await;
    }
}
