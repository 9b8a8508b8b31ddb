//! Signals that end a run.

use crate::exit::Failure;
use crate::insistence::Insistence;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What we were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: a service manager, `kill`, `timeout`.
    Terminate,
}

/// An ear for both. SIGHUP keeps its meaning, so that `nohup` works.
pub(super) struct Told {
    interrupt: Signal,
    terminate: Signal,
    insistence: Insistence,
}

impl Told {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self, Failure> {
        let ear = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(format!("signals cannot be received: {error}"), "ulimit -n"))
        };
        Ok(Self {
            interrupt: ear(SignalKind::interrupt())?,
            terminate: ear(SignalKind::terminate())?,
            insistence: Insistence::listen()?,
        })
    }

    /// What was said until now has had its effect; only a word after the next one ends us at once.
    pub(super) fn heed(&self) {
        self.insistence.heed();
    }

    /// The next word. May be dropped and asked again without missing one.
    pub(super) async fn word(&mut self) -> Word {
        tokio::select! {
            _ = self.interrupt.recv() => Word::Interrupt,
            _ = self.terminate.recv() => Word::Terminate,
        }
    }
}
