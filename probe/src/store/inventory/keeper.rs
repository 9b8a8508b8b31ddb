//! Writes the inventory on a thread of its own, so that a slow disk never slows anybody else.

use super::{Batch, Inventory};
use apisec_engine::degradation::{Degradation, Severity};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::thread::JoinHandle;

/// The thread. Dropping it writes what it was given last.
pub struct Keeper {
    send: Option<Sender<Batch>>,
    thread: Option<JoinHandle<()>>,
    trouble: Arc<arc_swap::ArcSwapOption<Degradation>>,
}

impl Keeper {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives us no thread.
    pub fn start(inventory: Inventory) -> std::io::Result<Self> {
        let (send, batches) = bounded(1);
        let trouble = Arc::new(arc_swap::ArcSwapOption::empty());
        let said = trouble.clone();
        let body = move || follow(inventory, &batches, &said);
        let thread = std::thread::Builder::new().name("apisec-inventory".into()).spawn(body)?;
        Ok(Self { send: Some(send), thread: Some(thread), trouble })
    }

    /// Whether it would take a batch now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.send.as_ref().is_some_and(|send| !send.is_full())
    }

    /// Hands over all of this run; the next batch has them again, so one that does not fit is no loss.
    pub fn offer(&self, batch: Batch) {
        if let Some(send) = &self.send {
            let _later = send.try_send(batch);
        }
    }

    /// Hands over the last batch, and waits for it.
    pub fn finish(&mut self, batch: Batch) {
        if let Some(send) = self.send.take() {
            let _gone = send.send(batch);
        }
        self.join();
    }

    /// Why the last batch was not written.
    #[must_use]
    pub fn trouble(&self) -> Option<Degradation> {
        self.trouble.load_full().map(|degradation| (*degradation).clone())
    }

    fn join(&mut self) {
        drop(self.send.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.join();
    }
}

fn follow(
    mut inventory: Inventory,
    batches: &Receiver<Batch>,
    trouble: &arc_swap::ArcSwapOption<Degradation>,
) {
    while let Ok(batch) = batches.recv() {
        let degradation = inventory.keep(&batch).err().map(|error| {
            Arc::new(Degradation {
                code: "inventory-not-kept".into(),
                severity: Severity::Partial,
                what: format!("the inventory could not be written ({error}); it is tried again"),
                remedy: "make room, or give another folder with --state DIR".into(),
            })
        });
        trouble.store(degradation);
    }
}
