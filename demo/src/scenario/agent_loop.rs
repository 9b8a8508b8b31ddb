//! An assistant that does the same thing again and again.

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::json;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "agent-loop",
    owasp: "API4:2023",
    raises: &["agent-loop"],
    flaws: &[],
    history: SHORT,
    requests: 120,
    rate: 4.0,
    attack: Act {
        story: "the assistant calls one tool with the same arguments sixty times",
        play: |shopper| Box::pin(loop_(shopper)),
    },
    twin: Act {
        story: "the assistant looks for many different things",
        play: |shopper| Box::pin(search(shopper)),
    },
};

/// The account that the assistant acts for.
const AGENT: u64 = seed::WHOLESALER + 21;

async fn loop_(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(AGENT).await?;
    for _ in 0..60 {
        shopper.tool("search_products", &json!({"q": "lamp"})).await?;
    }
    Ok(())
}

async fn search(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(AGENT).await?;
    for n in 0..40 {
        shopper.tool("search_products", &json!({"q": seed::title(n), "page": n})).await?;
    }
    Ok(())
}
