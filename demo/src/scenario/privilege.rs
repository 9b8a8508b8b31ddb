//! A customer in the administrator's rooms (broken function level authorization, and mass assignment
//! on the way there).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::json;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "privilege",
    owasp: "API5:2023",
    raises: &["bfla"],
    flaws: &[],
    history: SHORT,
    requests: 60,
    rate: 10.0,
    attack: Act {
        story: "a customer tries the administrator's operations, then makes themselves administrator",
        play: |shopper| Box::pin(climb(shopper)),
    },
    twin: Act {
        story: "the administrator uses the same operations and renames a customer",
        play: |shopper| Box::pin(administer(shopper)),
    },
};

/// Who climbs.
const CLIMBER: u64 = seed::WHOLESALER + 12;

async fn climb(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(CLIMBER).await?;
    look_around(shopper).await?;
    shopper.put(&format!("/api/users/{CLIMBER}"), &json!({"role": "admin"})).await?;
    shopper.log_in(CLIMBER).await?;
    look_around(shopper).await?;
    // Covers the tracks, and lets the scenario run again.
    shopper.put(&format!("/api/users/{CLIMBER}"), &json!({"role": "customer"})).await?;
    Ok(())
}

async fn administer(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(seed::ADMIN).await?;
    look_around(shopper).await?;
    shopper.put(&format!("/api/users/{CLIMBER}"), &json!({"name": seed::name(CLIMBER)})).await?;
    shopper.log_in(seed::ADMIN).await?;
    look_around(shopper).await
}

async fn look_around(shopper: &mut Shopper) -> Outcome {
    shopper.get("/api/admin/users").await?;
    shopper.get("/api/admin/orders/statistics").await?;
    for day in 1..=7 {
        shopper.get(&format!("/api/admin/reports/2026-11-{day:02}")).await?;
    }
    let sku = seed::sku(3);
    shopper.put(&format!("/api/admin/products/{sku}/price"), &json!({"price_cents": 1999})).await?;
    Ok(())
}
