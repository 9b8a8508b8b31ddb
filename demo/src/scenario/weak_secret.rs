//! Tokens signed with a word from a list (broken authentication).

use super::{Act, SHORT, Scenario};
use crate::flaw::Flaw;
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "weak-secret",
    owasp: "API2:2023",
    raises: &["auth-weak-secret"],
    flaws: &[Flaw::WeakSecret],
    history: SHORT,
    requests: 10,
    rate: 2.0,
    attack: Act {
        story: "customers use tokens whose signature anybody can make",
        play: |shopper| Box::pin(use_token(shopper)),
    },
    twin: Act {
        story: "the same, with a secret that nobody guesses",
        play: |shopper| Box::pin(use_token(shopper)),
    },
};

async fn use_token(shopper: &mut Shopper) -> Outcome {
    for user in 1..4 {
        shopper.log_in(seed::WHOLESALER + user).await?;
        shopper.get("/api/users/me").await?;
    }
    Ok(())
}
