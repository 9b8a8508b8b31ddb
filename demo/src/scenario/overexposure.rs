//! Answers that say more than anybody needs (broken object property level authorization).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "overexposure",
    owasp: "API3:2023",
    raises: &["property-exposure"],
    flaws: &[],
    history: SHORT,
    requests: 40,
    rate: 4.0,
    attack: Act {
        story: "a customer finds the view of the support desk: password hashes and card numbers",
        play: |shopper| Box::pin(look_behind(shopper)),
    },
    twin: Act {
        story: "the same customer reads the same profile in the ordinary view",
        play: |shopper| Box::pin(look(shopper)),
    },
};

/// Who looks, at their own profile.
const READER: u64 = seed::WHOLESALER + 13;

async fn look_behind(shopper: &mut Shopper) -> Outcome {
    read(shopper, "?view=support").await
}

async fn look(shopper: &mut Shopper) -> Outcome {
    read(shopper, "?view=owner").await
}

async fn read(shopper: &mut Shopper, view: &str) -> Outcome {
    shopper.log_in(READER).await?;
    for _ in 0..10 {
        shopper.get(&format!("/api/users/{READER}{view}")).await?;
    }
    Ok(())
}
