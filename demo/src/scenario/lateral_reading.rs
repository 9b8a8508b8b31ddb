//! A server that was taken over reads accounts, which it never did; nothing leaves yet.

use super::{Act, LONG, Scenario};
use crate::load::journey;
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::json;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "lateral-reading",
    owasp: "beyond",
    raises: &["lateral-movement"],
    flaws: &[],
    history: LONG,
    requests: 60,
    rate: 2.0,
    attack: Act {
        story: "notifications reads accounts with the administrator's token, and it never read any",
        play: |shopper| Box::pin(read(shopper)),
    },
    twin: Act {
        story: "orders reads the account of a customer who buys, as ever",
        play: |shopper| Box::pin(buy(shopper)),
    },
};

async fn read(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(seed::ADMIN).await?;
    let asked = json!({"users": [seed::WHOLESALER, seed::WHOLESALER + 1, seed::WHOLESALER + 2]});
    shopper.post_behind("notifications", "/maintenance/digest", &asked).await.map(drop)
}

async fn buy(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(seed::WHOLESALER + 30).await?;
    journey::buy(shopper, "card").await
}
