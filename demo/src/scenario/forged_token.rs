//! A token without a signature (broken authentication).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use crate::token::{self, Role};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "forged-token",
    owasp: "API2:2023",
    raises: &["auth-alg-none"],
    flaws: &[],
    history: SHORT,
    requests: 20,
    rate: 2.0,
    attack: Act {
        story: "a customer signs nothing, says `alg: none` and calls themselves administrator",
        play: |shopper| Box::pin(forge(shopper)),
    },
    twin: Act {
        story: "the administrator does the same with a token that was issued to them",
        play: |shopper| Box::pin(administer(shopper)),
    },
};

async fn forge(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(seed::WHOLESALER + 4).await?;
    shopper.present(&token::unsigned(seed::ADMIN, Role::Admin));
    look(shopper).await
}

async fn administer(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(seed::ADMIN).await?;
    look(shopper).await
}

async fn look(shopper: &mut Shopper) -> Outcome {
    shopper.get("/api/admin/users").await?;
    shopper.get("/api/admin/orders/statistics").await?;
    Ok(())
}
