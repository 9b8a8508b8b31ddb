//! Prices and quantities of one's own (business logic).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::{Value, json};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "tampering",
    owasp: "API6:2023",
    raises: &["logic-value"],
    flaws: &[],
    history: SHORT,
    requests: 60,
    rate: 4.0,
    attack: Act {
        story: "a customer buys minus three of something, and names a price of one cent",
        play: |shopper| Box::pin(tamper(shopper)),
    },
    twin: Act {
        story: "the same customer buys one and two of them, at the price that they have",
        play: |shopper| Box::pin(buy(shopper)),
    },
};

/// Who buys.
const BUYER: u64 = seed::WHOLESALER + 22;

async fn tamper(shopper: &mut Shopper) -> Outcome {
    fill(shopper, [json!({"quantity": -3}), json!({"quantity": 1, "price_cents": 1})]).await
}

async fn buy(shopper: &mut Shopper) -> Outcome {
    fill(shopper, [json!({"quantity": 1}), json!({"quantity": 2})]).await
}

async fn fill(shopper: &mut Shopper, wanted: [Value; 2]) -> Outcome {
    shopper.log_in(BUYER).await?;
    let cart = shopper.post("/api/cart", &json!({})).await?.json();
    let cart = cart.get("cart").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (mut item, n) in wanted.into_iter().cycle().take(4).zip(1..) {
        if let Some(fields) = item.as_object_mut() {
            fields.insert("sku".into(), seed::sku(3).into());
        }
        shopper.put(&format!("/api/cart/{cart}/items/{n}"), &item).await?;
    }
    shopper.get(&format!("/api/cart/{cart}")).await.map(drop)
}
