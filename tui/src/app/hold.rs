//! Which moment is on screen: the present, a frozen picture, or an earlier moment of the call log.

use crate::action::Action;
use crate::format::SECOND;
use crate::past;
use apisec_engine::snapshot::Snapshot;
use std::sync::Arc;

/// How far the far keys travel.
const FAR: u64 = 30 * SECOND;

/// The moment.
#[derive(Debug, Default)]
pub struct Hold {
    newest: Arc<Snapshot>,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    /// The newest snapshot when the picture was held: its log is the one that is travelled.
    base: Arc<Snapshot>,
    /// What is shown.
    shown: Arc<Snapshot>,
    /// The moment that is shown, when it is an earlier one.
    until: Option<u64>,
}

impl Hold {
    /// Takes a newer snapshot. True when it is the one that is shown.
    pub fn observe(&mut self, snapshot: Arc<Snapshot>) -> bool {
        self.newest = snapshot;
        self.held.is_none()
    }

    /// The snapshot on screen.
    #[must_use]
    pub fn shown(&self) -> &Snapshot {
        self.held.as_ref().map_or(&self.newest, |held| &held.shown)
    }

    /// The newest snapshot.
    #[must_use]
    pub fn newest(&self) -> &Snapshot {
        &self.newest
    }

    /// Whether the picture is held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The earlier moment on screen, Unix nanoseconds.
    #[must_use]
    pub fn until(&self) -> Option<u64> {
        self.held.as_ref().and_then(|held| held.until)
    }

    /// What can be done now.
    #[must_use]
    pub fn can(&self) -> Vec<Action> {
        let mut can = vec![Action::Freeze];
        if past::span(&self.newest.log).is_some() {
            can.extend([Action::Back, Action::BackFar]);
        }
        if self.until().is_some() {
            can.extend([Action::Forward, Action::ForwardFar]);
        }
        if self.is_held() {
            can.push(Action::Now);
        }
        can
    }

    /// Freezes, travels, or returns.
    ///
    /// # Errors
    /// There is nowhere to go, and why.
    pub fn travel(&mut self, action: &Action) -> Result<(), &'static str> {
        match action {
            Action::Freeze if self.held.is_none() => {
                let base = Arc::clone(&self.newest);
                self.held = Some(Held { shown: Arc::clone(&base), base, until: None });
            }
            Action::Back => return self.back(SECOND),
            Action::BackFar => return self.back(FAR),
            Action::Forward => return self.forward(SECOND),
            Action::ForwardFar => return self.forward(FAR),
            _ => self.held = None,
        }
        Ok(())
    }

    fn back(&mut self, step: u64) -> Result<(), &'static str> {
        let base = self.held.as_ref().map_or(&self.newest, |held| &held.base);
        let base = Arc::clone(base);
        let (first, last) = past::span(&base.log).ok_or("no calls in the log yet")?;
        let now = self.until().unwrap_or(base.window.end_ns.max(last));
        if now <= first {
            return Err("the log does not reach further back");
        }
        self.go(base, now.saturating_sub(step).max(first));
        Ok(())
    }

    fn forward(&mut self, step: u64) -> Result<(), &'static str> {
        let Some((base, until)) =
            self.held.as_ref().and_then(|held| Some((Arc::clone(&held.base), held.until?)))
        else {
            return Err("this is the newest moment");
        };
        let end = base.window.end_ns.max(past::span(&base.log).map_or(0, |(_, last)| last));
        match until.saturating_add(step) {
            next if next >= end => self.held = None,
            next => self.go(base, next),
        }
        Ok(())
    }

    fn go(&mut self, base: Arc<Snapshot>, until: u64) {
        let shown = Arc::new(past::at(&base, until));
        self.held = Some(Held { base, shown, until: Some(until) });
    }
}
