//! The thread that writes lines to standard output, so that only it waits for a slow reader.

use crate::exit::Failure;
use crate::line_queue::Outlet;
use std::io;
use std::thread;
use tokio::sync::oneshot;

/// The thread and, once it has ended, what came of it.
pub(super) struct Writer {
    ended: oneshot::Receiver<io::Result<()>>,
    result: Option<io::Result<()>>,
}

impl Writer {
    /// Starts to write.
    pub(super) fn start(outlet: Outlet) -> Result<Self, Failure> {
        let (end, ended) = oneshot::channel();
        let write = move || {
            let written = outlet.write_all_to(&mut io::stdout().lock());
            let _nobody_waits = end.send(written);
        };
        match thread::Builder::new().name("apisec-lines".into()).spawn(write) {
            Ok(_detached) => Ok(Self { ended, result: None }),
            Err(error) => Err(Failure::new(format!("no thread could be started: {error}"), "ulimit -u")),
        }
    }

    /// Returns when it has ended: every line is written, or nobody reads. May be asked again.
    pub(super) async fn ended(&mut self) {
        if self.result.is_none() {
            let ended = (&mut self.ended).await;
            self.result =
                Some(ended.unwrap_or_else(|_| Err(io::Error::other("the writing thread panicked"))));
        }
    }

    /// What came of it; `None` when it has not ended.
    pub(super) fn result(self) -> Option<io::Result<()>> {
        self.result
    }
}
