//! A token in the address of a link (broken authentication).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Halt, Outcome, Shopper};
use crate::token::{self, Claims, Role};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "token-in-url",
    owasp: "API2:2023",
    raises: &["auth-in-url"],
    flaws: &[],
    history: SHORT,
    requests: 20,
    rate: 2.0,
    attack: Act {
        story: "links in letters carry the customer's token as a parameter",
        play: |shopper| Box::pin(follow(shopper, true)),
    },
    twin: Act {
        story: "the same links, followed by customers who are logged in",
        play: |shopper| Box::pin(follow(shopper, false)),
    },
};

async fn follow(shopper: &mut Shopper, in_url: bool) -> Outcome {
    for user in seed::WHOLESALER + 24..seed::WHOLESALER + 28 {
        shopper.log_in(user).await?;
        if in_url {
            shopper.log_out();
            let token = token::issue(&Claims::new(user, Role::Customer)).map_err(|_unsigned| Halt::Failed)?;
            shopper.get(&format!("/api/orders?access_token={token}")).await?;
        } else {
            shopper.get("/api/orders").await?;
        }
    }
    Ok(())
}
