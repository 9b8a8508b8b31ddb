//! Reading one account that is not one's own (broken object level authorization, without any volume).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "ownership",
    owasp: "API1:2023",
    raises: &["bola-ownership"],
    flaws: &[],
    history: SHORT,
    requests: 20,
    rate: 2.0,
    attack: Act {
        story: "a customer reads the profile of one other customer",
        play: |shopper| Box::pin(trespass(shopper)),
    },
    twin: Act {
        story: "the same customer reads their own profile as often",
        play: |shopper| Box::pin(stay_at_home(shopper)),
    },
};

/// Who reads.
const READER: u64 = seed::WHOLESALER + 6;
/// Whose profile it is.
const OTHER: u64 = seed::WHOLESALER + 7;

async fn trespass(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(READER).await?;
    for user in [READER, READER, OTHER, OTHER] {
        shopper.get(&format!("/api/users/{user}")).await?;
    }
    Ok(())
}

async fn stay_at_home(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(READER).await?;
    for user in [READER; 4] {
        shopper.get(&format!("/api/users/{user}")).await?;
    }
    Ok(())
}
