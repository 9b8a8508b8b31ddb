//! Trying leaked passwords, one for each account (broken authentication).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "stuffing",
    owasp: "API2:2023",
    raises: &["auth-credential-stuffing"],
    flaws: &[],
    history: SHORT,
    requests: 120,
    rate: 10.0,
    attack: Act {
        story: "a list of leaked addresses and passwords is tried, one try for each account; a few still fit",
        play: |shopper| Box::pin(stuff(shopper)),
    },
    twin: Act {
        story: "people log in from many places, some mistyping once",
        play: |shopper| Box::pin(log_in_from_everywhere(shopper)),
    },
};

async fn stuff(shopper: &mut Shopper) -> Outcome {
    for (user, n) in seed::users().filter(|user| *user != seed::ADMIN).zip(0_u64..) {
        shopper.user = user;
        shopper.log_out();
        let password = if n % 13 == 12 { seed::password(user) } else { format!("leaked-{n}") };
        shopper.try_password(&password).await?;
    }
    Ok(())
}

async fn log_in_from_everywhere(shopper: &mut Shopper) -> Outcome {
    for (user, machine) in seed::users().filter(|user| *user != seed::ADMIN).zip(100_u8..) {
        shopper.move_to(machine);
        shopper.user = user;
        shopper.log_out();
        if user.is_multiple_of(9) {
            shopper.try_password("pw-mistyped").await?;
        }
        shopper.log_in(user).await?;
        shopper.get("/api/users/me").await?;
    }
    Ok(())
}
