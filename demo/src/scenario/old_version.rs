//! What should have been switched off (improper inventory management).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "old-version",
    owasp: "API9:2023",
    raises: &["inventory"],
    flaws: &[],
    history: SHORT,
    requests: 60,
    rate: 6.0,
    attack: Act {
        story: "an old app searches with v1, on a staging host, while everybody else uses v2",
        play: |shopper| Box::pin(use_old(shopper)),
    },
    twin: Act {
        story: "the same searches with v2, on the shop's own host",
        play: |shopper| Box::pin(use_new(shopper)),
    },
};

async fn use_old(shopper: &mut Shopper) -> Outcome {
    search(shopper, "v1", "staging-api.shop.example").await
}

async fn use_new(shopper: &mut Shopper) -> Outcome {
    search(shopper, "v2", "api.shop.example").await
}

async fn search(shopper: &mut Shopper, version: &str, host: &str) -> Outcome {
    shopper.set_field("host", Some(host));
    for n in 1..=30 {
        let title = seed::title(n);
        let word = title.split(' ').next_back().unwrap_or("lamp");
        shopper.get(&format!("/api/{version}/search?q={word}")).await?;
    }
    Ok(())
}
