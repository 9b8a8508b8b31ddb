//! An hour of everything: every other scenario, one after the other, with pauses in between.

use super::{Act, SCENARIOS, SHORT, Scenario};
use crate::shopper::{Journey, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "mixed",
    owasp: "all",
    raises: &[
        "bola-enumeration",
        "auth-brute-force",
        "bfla",
        "business-flow",
        "ssrf",
        "misconfiguration",
        "inventory",
        "unsafe-consumption",
    ],
    flaws: &[],
    history: SHORT,
    requests: 1_000_000,
    rate: 20.0,
    attack: Act { story: "every attack, one after the other", play: |shopper| play_all(shopper, false) },
    twin: Act { story: "every twin, one after the other", play: |shopper| play_all(shopper, true) },
};

/// Turns that pass between two scenarios.
const PAUSE: usize = 40;

fn play_all(shopper: &mut Shopper, twin: bool) -> Journey<'_> {
    Box::pin(async move {
        for scenario in SCENARIOS.iter().filter(|scenario| scenario.name != SCENARIO.name) {
            shopper.start_afresh();
            scenario.play(twin, shopper).await?;
            for _ in 0..PAUSE {
                shopper.pause().await?;
            }
        }
        Ok(())
    })
}
