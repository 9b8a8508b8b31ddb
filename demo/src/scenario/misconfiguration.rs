//! Doors that nobody closed (security misconfiguration).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use axum::http::Method;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "misconfiguration",
    owasp: "API8:2023",
    raises: &["misconfiguration"],
    flaws: &[],
    history: SHORT,
    requests: 40,
    rate: 4.0,
    attack: Act {
        story: "a foreign origin is let in with credentials, TRACE echoes a token, a bad date shows a stack trace",
        play: |shopper| Box::pin(rattle(shopper)),
    },
    twin: Act {
        story: "the shop's own origin asks for the same, with GET and with dates that are dates",
        play: |shopper| Box::pin(knock(shopper)),
    },
};

async fn rattle(shopper: &mut Shopper) -> Outcome {
    visit(shopper, "https://attacker.example", Method::TRACE, "yesterday").await
}

async fn knock(shopper: &mut Shopper) -> Outcome {
    visit(shopper, "https://www.shop.example", Method::GET, "2026-11-01").await
}

async fn visit(shopper: &mut Shopper, origin: &str, method: Method, date: &str) -> Outcome {
    shopper.log_in(seed::ADMIN).await?;
    shopper.set_field("origin", Some(origin));
    for _ in 0..3 {
        shopper.ask(Method::OPTIONS, "/api/orders", None).await?;
        shopper.get("/api/orders").await?;
        shopper.ask(method.clone(), "/api/orders", None).await?;
        shopper.get(&format!("/api/admin/reports/{date}")).await?;
    }
    Ok(())
}
