//! The end of whoever watches: keeps a way to every node open, and makes one stream of deltas of what comes.
//!
//! One thread. Every node has a task that connects, listens and connects again; what they hear meets in [`Meeting`],
//! which names, sets the clocks right, counts nothing twice and hands on.

mod attend;
mod meeting;
mod naming;

use super::link::Link;
use super::names::Census;
use crate::pipeline::{Feed, Update};
use crate::source::SourceError;
use attend::Event;
use meeting::Meeting;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// What came from nodes and was not looked at yet; their tasks wait while it is full.
const EVENTS: usize = 1_024;
/// How often deltas are handed on.
const EVERY: Duration = Duration::from_millis(200);
/// How long nodes may take to end.
const FAREWELL: Duration = Duration::from_secs(4);

/// A node to watch.
pub struct Target {
    /// What it is called; unique.
    pub name: String,
    /// The way to its agent.
    pub link: Arc<dyn Link>,
}

/// What is watched, and how.
pub struct Plan {
    /// The nodes.
    pub targets: Vec<Target>,
    /// Key of the hashes of identities, the same on all nodes.
    pub key: [u8; 32],
    /// Program and version, as agents shall see them.
    pub program: String,
    /// Calls themselves are wanted only where they pass this; empty for all.
    pub filter: String,
    /// Names that somebody else knows.
    pub names: Option<Box<dyn Census>>,
}

/// Watches until it is told to stop or no node is left.
///
/// # Errors
/// No node could be watched at all.
pub fn run(plan: Plan, feed: Feed) -> Result<(), SourceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| SourceError {
        what: format!("there is no event loop: {error}"),
        remedy: "raise the limit of open files (ulimit -n)".into(),
    })?;
    tokio::task::LocalSet::new().block_on(&runtime, watch(plan, feed))
}

async fn watch(plan: Plan, mut feed: Feed) -> Result<(), SourceError> {
    feed.rules.mark_changed();
    feed.peephole.wall_up("agents send hashes only: ask on the node itself, with sudo apisec-top");
    let (events, mut heard) = mpsc::channel(EVENTS);
    let mut meeting = Meeting::new(plan, &events);
    drop(events);
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = heard.recv() => match event {
                Some(event) => meeting.hear(event),
                None => break,
            },
            _ = tick.tick() => {
                if feed.stop.load(Ordering::Acquire) {
                    break;
                }
                if feed.rules.has_changed().unwrap_or(false) {
                    meeting.follow(feed.rules.borrow_and_update().clone());
                }
                if feed.tail.has_changed().unwrap_or(false) {
                    meeting.tail(feed.tail.borrow_and_update().clone());
                }
                meeting.hand_on(&feed.updates);
            }
        }
    }
    meeting.end();
    let until = Instant::now() + FAREWELL;
    while let Ok(Some(event)) = timeout_at(until, heard.recv()).await {
        meeting.hear(event);
    }
    let last = Update::End(Box::new(meeting.last()));
    // The knowledge thread is gone only when it panicked.
    let _gone = feed.updates.send(last);
    meeting.verdict()
}

/// So that the tasks' word and the meeting's agree.
type Events = mpsc::Sender<(usize, Event)>;
