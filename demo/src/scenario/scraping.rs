//! Taking the whole catalogue along (business logic).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "scraping",
    owasp: "API6:2023",
    raises: &["logic-scraping"],
    flaws: &[],
    history: SHORT,
    requests: 300,
    rate: 10.0,
    attack: Act {
        story: "a program reads every product there is, with prices and reviews, one after the other",
        play: |shopper| Box::pin(scrape(shopper)),
    },
    twin: Act {
        story: "somebody reads about a dozen products, as people do",
        play: |shopper| Box::pin(browse(shopper)),
    },
};

async fn scrape(shopper: &mut Shopper) -> Outcome {
    read(shopper, 1..=seed::PRODUCTS, 0).await
}

async fn browse(shopper: &mut Shopper) -> Outcome {
    read(shopper, 1..=12, 12).await
}

async fn read(shopper: &mut Shopper, products: std::ops::RangeInclusive<u64>, pauses: usize) -> Outcome {
    for n in products {
        for _ in 0..pauses {
            shopper.pause().await?;
        }
        shopper.get(&format!("/api/products/{}", seed::sku(n))).await?;
        shopper.get(&format!("/api/products/{}/reviews", seed::sku(n))).await?;
    }
    Ok(())
}
