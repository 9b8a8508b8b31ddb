//! One token from many machines (broken authentication).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "token-replay",
    owasp: "API2:2023",
    raises: &["auth-token-replay"],
    flaws: &[],
    history: SHORT,
    requests: 60,
    rate: 10.0,
    attack: Act {
        story: "a stolen token is used from other machines while its owner goes on",
        play: |shopper| Box::pin(replay(shopper)),
    },
    twin: Act {
        story: "one person uses two machines and logs in on each",
        play: |shopper| Box::pin(own_two_machines(shopper)),
    },
};

/// Whose token it is.
const OWNER: u64 = seed::WHOLESALER + 8;

async fn replay(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(OWNER).await?;
    for round in 0..3 {
        for machine in [200, 231, 232, 233] {
            shopper.move_to(machine);
            shopper.get("/api/users/me").await?;
            shopper.get(&format!("/api/orders?page={}", round + 1)).await?;
        }
    }
    Ok(())
}

async fn own_two_machines(shopper: &mut Shopper) -> Outcome {
    for machine in [200, 201, 200, 201] {
        shopper.move_to(machine);
        shopper.log_in(OWNER).await?;
        shopper.get("/api/users/me").await?;
        shopper.get("/api/orders?page=1").await?;
    }
    Ok(())
}
