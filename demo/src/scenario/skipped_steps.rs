//! A step of a flow without those before it (unrestricted access to sensitive business flows).

use super::{Act, LONG, Scenario};
use crate::load::journey;
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::{Value, json};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "skipped-steps",
    owasp: "API6:2023",
    raises: &["logic-sequence"],
    flaws: &[],
    history: LONG,
    requests: 40,
    rate: 1.0,
    attack: Act {
        story: "a customer pays for a cart that somebody else filled, without ever having had one",
        play: |shopper| Box::pin(pay(shopper)),
    },
    twin: Act { story: "a customer fills a cart and pays for it", play: |shopper| Box::pin(buy(shopper)) },
};

async fn buy(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(PAYER).await?;
    journey::buy(shopper, "card").await
}

/// Who fills the cart of the attack.
const OTHER: u64 = seed::WHOLESALER + 3;
/// Who pays.
const PAYER: u64 = seed::USERS + seed::FIRST_USER - 1;

async fn pay(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(OTHER).await?;
    let cart = shopper.post("/api/cart", &json!({})).await?.json();
    let cart = cart.get("cart").and_then(Value::as_str).unwrap_or_default().to_owned();
    let item = json!({"sku": seed::sku(9), "quantity": 1});
    shopper.put(&format!("/api/cart/{cart}/items/1"), &item).await?;
    shopper.log_in(PAYER).await?;
    shopper.post("/api/orders", &json!({"cart": cart, "payment": "card"})).await.map(drop)
}
