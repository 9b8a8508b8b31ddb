//! Lets requests through one by one: at a pace, up to a number, until told to stop.

use crate::random::Random;
use crate::stop::Stopping;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How many requests may still be sent, shared by all who send.
#[derive(Clone)]
pub(crate) struct Budget(Arc<AtomicU64>);

impl Budget {
    /// At most `requests`; `None` is without end.
    pub(crate) fn new(requests: Option<u64>) -> Self {
        Self(Arc::new(AtomicU64::new(requests.unwrap_or(u64::MAX))))
    }

    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// No more requests may be sent.
#[derive(Debug)]
pub(crate) struct Closed;

/// One sender's way through.
pub(crate) struct Turnstile {
    pace: Interval,
    /// How long people think; programs do not.
    thinking: Option<Random>,
    budget: Budget,
    stopping: Stopping,
}

impl Turnstile {
    /// Lets `rate` requests per second through, the first one after `offset` of a period.
    pub(crate) fn new(rate: f64, offset: f64, budget: Budget, stopping: Stopping) -> Self {
        // An hour between requests is a pause, and a microsecond is faster than any server here.
        let period = Duration::from_secs_f64((1.0 / rate).clamp(1e-6, 3600.0));
        let mut pace = interval_at(Instant::now() + period.mul_f64(offset.clamp(0.0, 1.0)), period);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { pace, thinking: None, budget, stopping }
    }

    /// The same pace on the whole, but as people keep it: each time up to a period later.
    pub(crate) fn like_a_person(self, seed: u64) -> Self {
        Self { thinking: Some(Random::new(seed)), ..self }
    }

    /// Waits for the turn of the next request.
    ///
    /// # Errors
    /// When the budget is spent, or someone wants to stop.
    pub(crate) async fn pass(&mut self) -> Result<(), Closed> {
        tokio::select! {
            biased;
            () = self.stopping.wait() => return Err(Closed),
            _ = self.pace.tick() => (),
        }
        // A period below the clock's resolution has no room for thoughts.
        let period = self.pace.period().as_millis() as u64;
        if let Some(random) = self.thinking.as_mut().filter(|_| period > 4) {
            tokio::time::sleep(Duration::from_millis(random.below(period))).await;
        }
        if self.budget.take() { Ok(()) } else { Err(Closed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::stopping;

    fn turnstile(requests: Option<u64>) -> (Turnstile, crate::stop::Stopper) {
        let (stopper, stopping) = stopping();
        (Turnstile::new(1e9, 0.0, Budget::new(requests), stopping), stopper)
    }

    #[tokio::test]
    async fn the_budget_is_spent_to_the_last_request() {
        let (mut turnstile, _stopper) = turnstile(Some(3));
        for _ in 0..3 {
            turnstile.pass().await.unwrap();
        }
        turnstile.pass().await.unwrap_err();
        turnstile.pass().await.unwrap_err();
    }

    #[tokio::test]
    async fn stopping_closes_it() {
        let (mut turnstile, stopper) = turnstile(None);
        turnstile.pass().await.unwrap();
        stopper.stop();
        turnstile.pass().await.unwrap_err();
    }
}
