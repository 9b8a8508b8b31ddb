//! More of everything than anybody needs (unrestricted resource consumption).

use super::{Act, SHORT, Scenario};
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "exhaustion",
    owasp: "API4:2023",
    raises: &["consumption"],
    flaws: &[],
    history: SHORT,
    requests: 1500,
    rate: 60.0,
    attack: Act {
        story: "one machine asks for pages of a hundred thousand products, sixty times a second",
        play: |shopper| Box::pin(exhaust(shopper)),
    },
    twin: Act {
        story: "a partner copies the catalogue, page by page, twice a second",
        play: |shopper| Box::pin(copy(shopper)),
    },
};

async fn exhaust(shopper: &mut Shopper) -> Outcome {
    for page in 1..=1200 {
        shopper.get(&format!("/api/products?limit=100000&page={}", page % 2)).await?;
    }
    Ok(())
}

async fn copy(shopper: &mut Shopper) -> Outcome {
    for page in 1..=40 {
        for _ in 0..30 {
            shopper.pause().await?;
        }
        shopper.get(&format!("/api/products?limit=20&page={page}")).await?;
    }
    Ok(())
}
