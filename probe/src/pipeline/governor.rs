//! Keeps our own cost below a share of a core by shedding work in a stated order, and says so.
//!
//! The order: the inspector's fields (bodies, once they are read), then everything in the heads beyond method, path and
//! status, then calls become counters. Returns in the reverse order, one step at a time.

use apisec_engine::degradation::{Degradation, Severity};

/// Seconds below the share before one step is taken back.
const CALM_SECONDS: u32 = 5;

/// How much is shed; each level includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shedding {
    /// Nothing.
    #[default]
    Nothing,
    /// Bodies and the fields that the inspector shows.
    Bodies,
    /// Fields beyond need: identities, traces, media types.
    Fields,
    /// The log of calls: calls are only counted.
    Calls,
}

/// Watches our CPU share.
#[derive(Debug)]
pub(super) struct Governor {
    limit: f64,
    level: Shedding,
    calm: u32,
    share: f64,
}

impl Governor {
    /// `limit` is a share of one core.
    #[must_use]
    pub(super) fn new(limit: f64) -> Self {
        Self { limit, level: Shedding::Nothing, calm: 0, share: 0.0 }
    }

    /// What is shed now.
    #[must_use]
    pub(super) fn level(&self) -> Shedding {
        self.level
    }

    /// Takes the share of the last second (about) and whether the ring lost records in it. Without a limit
    /// nothing is shed: nobody waits behind a file.
    pub(super) fn tick(&mut self, share: f64, lost: bool) {
        if self.limit.is_infinite() {
            return;
        }
        self.share = share;
        if share > self.limit || lost {
            self.calm = 0;
            self.level = harder(self.level);
        } else if share < self.limit * 0.7 {
            self.calm += 1;
            if self.calm >= CALM_SECONDS {
                self.calm = 0;
                self.level = softer(self.level);
            }
        }
    }

    /// What is shed, for the screen.
    #[must_use]
    pub(super) fn degradation(&self) -> Option<Degradation> {
        let what = match self.level {
            Shedding::Nothing => return None,
            Shedding::Bodies => "the fields that the inspector shows",
            Shedding::Fields => "everything in the heads beyond method, path and status",
            Shedding::Calls => {
                "the heads beyond method, path and status, and the log of calls (all are counted)"
            }
        };
        Some(Degradation {
            code: "overload".into(),
            severity: Severity::Partial,
            what: format!(
                "shedding {what}: capture used {:.0} % of a core, the limit is {:.0} %",
                self.share * 100.0,
                self.limit * 100.0
            ),
            remedy: "raise `cpu_share` in the configuration, or narrow what is captured".into(),
        })
    }
}

fn harder(level: Shedding) -> Shedding {
    match level {
        Shedding::Nothing => Shedding::Bodies,
        Shedding::Bodies => Shedding::Fields,
        Shedding::Fields | Shedding::Calls => Shedding::Calls,
    }
}

fn softer(level: Shedding) -> Shedding {
    match level {
        Shedding::Calls => Shedding::Fields,
        Shedding::Fields => Shedding::Bodies,
        Shedding::Bodies | Shedding::Nothing => Shedding::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheds_in_the_stated_order_and_returns_one_step_at_a_time() {
        let mut governor = Governor::new(0.5);
        let mut seen = vec![governor.level()];
        for _ in 0..4 {
            governor.tick(0.9, false);
            seen.push(governor.level());
        }
        use Shedding::{Bodies, Calls, Fields, Nothing};
        assert_eq!(seen, [Nothing, Bodies, Fields, Calls, Calls]);
        for _ in 0..CALM_SECONDS {
            governor.tick(0.1, false);
        }
        assert_eq!(governor.level(), Fields);
        assert!(governor.degradation().is_some_and(|degradation| degradation.code == "overload"));
    }

    #[test]
    fn a_share_near_the_limit_changes_nothing_and_losses_count_as_overload() {
        let mut governor = Governor::new(0.5);
        governor.tick(0.45, false);
        assert_eq!(governor.level(), Shedding::Nothing);
        governor.tick(0.01, true);
        assert_eq!(governor.level(), Shedding::Bodies);
    }
}
