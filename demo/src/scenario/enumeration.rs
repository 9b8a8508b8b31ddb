//! Walking through order numbers with one token (broken object level authorization).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::Value;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "enumeration",
    owasp: "API1:2023",
    raises: &["bola-enumeration"],
    flaws: &[],
    history: SHORT,
    requests: 120,
    rate: 20.0,
    attack: Act {
        story: "one customer reads every order there is, number by number",
        play: |shopper| Box::pin(walk(shopper)),
    },
    twin: Act {
        story: "a wholesaler reads as many orders, all their own, found in their history",
        play: |shopper| Box::pin(read_own_history(shopper)),
    },
};

/// Has few orders of their own among those that are read.
const THIEF: u64 = seed::WHOLESALER + 5;

async fn walk(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(THIEF).await?;
    for order in seed::FIRST_ORDER..seed::FIRST_ORDER + seed::ORDERS {
        shopper.get(&format!("/api/orders/{order}")).await?;
    }
    Ok(())
}

async fn read_own_history(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(seed::WHOLESALER).await?;
    for page in 1.. {
        let orders = shopper.get(&format!("/api/orders?page={page}")).await?.json();
        let orders = orders.as_array().filter(|orders| !orders.is_empty());
        let Some(orders) = orders else { break };
        for number in orders.iter().filter_map(|order| order.get("order").and_then(Value::as_u64)) {
            shopper.get(&format!("/api/orders/{number}")).await?;
        }
    }
    Ok(())
}
