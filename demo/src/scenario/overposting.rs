//! A field that should not be taken back (broken object property level authorization).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::json;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "overposting",
    owasp: "API3:2023",
    raises: &["property-mass-assignment"],
    flaws: &[],
    history: SHORT,
    requests: 20,
    rate: 2.0,
    attack: Act {
        story: "a customer sends `role` along with their name, and it is kept",
        play: |shopper| Box::pin(overpost(shopper)),
    },
    twin: Act {
        story: "the same customer changes their name as often",
        play: |shopper| Box::pin(rename(shopper)),
    },
};

/// Who changes their profile.
const CLIMBER: u64 = seed::WHOLESALER + 11;

async fn overpost(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(CLIMBER).await?;
    let profile = format!("/api/users/{CLIMBER}");
    shopper.get(&profile).await?;
    shopper.put(&profile, &json!({"name": seed::name(CLIMBER), "role": "admin"})).await?;
    shopper.get(&profile).await?;
    // Lets the scenario run again.
    shopper.put(&profile, &json!({"name": seed::name(CLIMBER), "role": "customer"})).await?;
    Ok(())
}

async fn rename(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(CLIMBER).await?;
    let profile = format!("/api/users/{CLIMBER}");
    for _ in 0..2 {
        shopper.get(&profile).await?;
        shopper.put(&profile, &json!({"name": seed::name(CLIMBER)})).await?;
    }
    Ok(())
}
