//! A session that is over (broken authentication).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Halt, Outcome, Shopper};
use crate::token::{self, Claims, Role};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "expired-token",
    owasp: "API2:2023",
    raises: &["auth-expired"],
    flaws: &[],
    history: SHORT,
    requests: 40,
    rate: 4.0,
    attack: Act {
        story: "a token from yesterday, found somewhere, is still accepted",
        play: |shopper| Box::pin(look_back(shopper, -86_400)),
    },
    twin: Act {
        story: "a token that has some minutes left is used as often",
        play: |shopper| Box::pin(look_back(shopper, 600)),
    },
};

/// Whose token it is.
const OWNER: u64 = seed::WHOLESALER + 22;

async fn look_back(shopper: &mut Shopper, left: i64) -> Outcome {
    shopper.user = OWNER;
    let claims = Claims::new(OWNER, Role::Customer).ending_in(left);
    shopper.present(&token::issue(&claims).map_err(|_unsigned| Halt::Failed)?);
    for page in 1..=8 {
        shopper.get(&format!("/api/orders?page={page}")).await?;
    }
    Ok(())
}
