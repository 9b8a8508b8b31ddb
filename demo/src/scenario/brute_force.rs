//! Guessing one account's password (broken authentication).

use super::{Act, SHORT, Scenario};
use crate::random::mix;
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "brute-force",
    owasp: "API2:2023",
    raises: &["auth-brute-force"],
    flaws: &[],
    history: SHORT,
    requests: 120,
    rate: 20.0,
    attack: Act {
        story: "a list of passwords against one account until one fits, then its owner's data",
        play: |shopper| Box::pin(guess(shopper)),
    },
    twin: Act {
        story: "a whole office logs in from one machine, every account its own, some mistyping once",
        play: |shopper| Box::pin(log_everyone_in(shopper)),
    },
};

/// Whose password is guessed.
const VICTIM: u64 = seed::WHOLESALER + 9;
/// Length of the list; the last one fits.
const LIST: u64 = 80;

async fn guess(shopper: &mut Shopper) -> Outcome {
    shopper.user = VICTIM;
    for n in 1..LIST {
        shopper.try_password(&format!("pw-{:06x}", mix(n ^ 0x9e55) & 0xff_ffff)).await?;
    }
    shopper.try_password(&seed::password(VICTIM)).await?;
    shopper.get("/api/users/me").await?;
    shopper.get(&format!("/api/users/{}/addresses", seed::user_uuid(VICTIM))).await?;
    Ok(())
}

async fn log_everyone_in(shopper: &mut Shopper) -> Outcome {
    for user in seed::users().filter(|user| *user != seed::ADMIN) {
        shopper.user = user;
        shopper.log_out();
        if user.is_multiple_of(6) {
            shopper.try_password("pw-mistyped").await?;
        }
        shopper.log_in(user).await?;
        shopper.get("/api/users/me").await?;
    }
    Ok(())
}
