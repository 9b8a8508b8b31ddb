//! A token that is good for a year (broken authentication).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Halt, Outcome, Shopper};
use crate::token::{self, Claims, Role};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "endless-token",
    owasp: "API2:2023",
    raises: &["auth-rotation"],
    flaws: &[],
    history: SHORT,
    requests: 40,
    rate: 4.0,
    attack: Act {
        story: "a partner's program uses a token that is good for a year",
        play: |shopper| Box::pin(fetch(shopper, 365 * 86_400)),
    },
    twin: Act {
        story: "the same program uses one that is good for an hour",
        play: |shopper| Box::pin(fetch(shopper, 3_600)),
    },
};

/// The partner.
const PARTNER: u64 = seed::WHOLESALER + 23;

async fn fetch(shopper: &mut Shopper, left: i64) -> Outcome {
    shopper.user = PARTNER;
    let claims = Claims::new(PARTNER, Role::Customer).ending_in(left);
    shopper.present(&token::issue(&claims).map_err(|_unsigned| Halt::Failed)?);
    for _ in 0..8 {
        shopper.get("/api/orders").await?;
    }
    Ok(())
}
