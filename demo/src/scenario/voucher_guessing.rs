//! Trying vouchers until one is worth something (business logic).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::{Value, json};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "voucher-guessing",
    owasp: "API6:2023",
    raises: &["logic-guessing"],
    flaws: &[],
    history: SHORT,
    requests: 150,
    rate: 8.0,
    attack: Act {
        story: "a program tries a hundred voucher codes; some are worth something",
        play: |shopper| Box::pin(guess(shopper)),
    },
    twin: Act {
        story: "a customer mistypes a voucher once and then has it right",
        play: |shopper| Box::pin(redeem(shopper)),
    },
};

/// Who tries.
const BUYER: u64 = seed::WHOLESALER + 23;

async fn guess(shopper: &mut Shopper) -> Outcome {
    redeem_all(shopper, 1000..1100).await
}

async fn redeem(shopper: &mut Shopper) -> Outcome {
    let right = (1000..).find(|number| seed::voucher(&format!("SAVE-{number}")).is_some()).unwrap_or(1000);
    redeem_all(shopper, [right + 1, right]).await
}

async fn redeem_all(shopper: &mut Shopper, numbers: impl IntoIterator<Item = u64>) -> Outcome {
    shopper.log_in(BUYER).await?;
    let cart = shopper.post("/api/cart", &json!({})).await?.json();
    let cart = cart.get("cart").and_then(Value::as_str).unwrap_or_default().to_owned();
    for number in numbers {
        let voucher = json!({"code": format!("SAVE-{number}")});
        shopper.post(&format!("/api/cart/{cart}/voucher"), &voucher).await?;
    }
    Ok(())
}
