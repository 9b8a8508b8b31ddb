//! A program that buys (unrestricted access to sensitive business flows).

use super::{Act, SHORT, Scenario};
use crate::load::journey;
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::{Value, json};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "scalping",
    owasp: "API6:2023",
    raises: &["business-flow"],
    flaws: &[],
    history: SHORT,
    requests: 400,
    rate: 8.0,
    attack: Act {
        story: "a program goes straight to the till, again and again, without looking at anything",
        play: |shopper| Box::pin(scalp(shopper)),
    },
    twin: Act {
        story: "somebody buys a few presents, one after the other, looking at each",
        play: |shopper| Box::pin(shop(shopper)),
    },
};

/// Whose account it is.
const BUYER: u64 = seed::WHOLESALER + 14;

async fn scalp(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(BUYER).await?;
    for _ in 0..40 {
        let cart = shopper.post("/api/cart", &json!({})).await?.json();
        let cart = cart.get("cart").and_then(Value::as_str).unwrap_or_default().to_owned();
        let item = json!({"sku": seed::sku(7), "quantity": 1});
        shopper.put(&format!("/api/cart/{cart}/items/1"), &item).await?;
        shopper.post("/api/orders", &json!({"cart": cart, "payment": "card"})).await?;
    }
    Ok(())
}

async fn shop(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(BUYER).await?;
    for n in 1..=5 {
        for _ in 0..8 {
            shopper.pause().await?;
        }
        shopper.get(&format!("/api/products?category={}&page=1", seed::category(n))).await?;
        shopper.get(&format!("/api/products/{}", seed::sku(n))).await?;
        journey::buy(shopper, "card").await?;
    }
    Ok(())
}
