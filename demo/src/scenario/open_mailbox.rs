//! Letters that nobody asks who reads (broken authentication).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "open-mailbox",
    owasp: "API2:2023",
    raises: &["auth-missing"],
    flaws: &[],
    history: SHORT,
    requests: 40,
    rate: 2.0,
    attack: Act {
        story: "a stranger without any token reads the letters of customers whose addresses are known",
        play: |shopper| Box::pin(read(shopper, false)),
    },
    twin: Act {
        story: "customers who are logged in read their own",
        play: |shopper| Box::pin(read(shopper, true)),
    },
};

/// Those who bought something lately have letters.
const READ: std::ops::Range<u64> = seed::WHOLESALER + 1..seed::WHOLESALER + 9;

async fn read(shopper: &mut Shopper, logged_in: bool) -> Outcome {
    for user in READ {
        if logged_in {
            shopper.log_in(user).await?;
        }
        shopper.get(&format!("/api/notifications/{}", seed::email(user))).await?;
    }
    Ok(())
}
