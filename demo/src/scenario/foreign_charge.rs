//! A server that was taken over uses an operation that is another's (broken function level authorization between servers).

use super::{Act, LONG, Scenario};
use crate::load::journey;
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::json;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "foreign-charge",
    owasp: "API5:2023",
    raises: &["bfla-audience"],
    flaws: &[],
    history: LONG,
    requests: 60,
    rate: 2.0,
    attack: Act {
        story: "notifications charges customers' cards, which only orders ever did",
        play: |shopper| Box::pin(charge(shopper)),
    },
    twin: Act {
        story: "a customer buys something, and orders charges the card",
        play: |shopper| Box::pin(buy(shopper)),
    },
};

async fn charge(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(seed::ADMIN).await?;
    for user in seed::WHOLESALER + 1..seed::WHOLESALER + 9 {
        let asked = json!({"user": user, "amount_cents": 4_999});
        shopper.post_behind("notifications", "/maintenance/charge", &asked).await?;
    }
    Ok(())
}

async fn buy(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(seed::WHOLESALER + 29).await?;
    journey::buy(shopper, "card").await?;
    journey::buy(shopper, "card").await
}
