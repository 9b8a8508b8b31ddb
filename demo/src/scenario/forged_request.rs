//! Making a server fetch for one (server side request forgery).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::json;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "forged-request",
    owasp: "API7:2023",
    raises: &["ssrf"],
    flaws: &[],
    history: SHORT,
    requests: 20,
    rate: 2.0,
    attack: Act {
        story: "a customer has pictures fetched from the cloud's metadata and from a server inside",
        play: |shopper| Box::pin(reach_inside(shopper)),
    },
    twin: Act {
        story: "a supplier has pictures fetched from their own server",
        play: |shopper| Box::pin(deliver(shopper)),
    },
};

async fn reach_inside(shopper: &mut Shopper) -> Outcome {
    let metadata = "http://169.254.169.254/latest/meta-data/iam/security-credentials/shop".to_owned();
    let users = shopper.inside("users", "/health");
    fetch(shopper, &[metadata, users]).await
}

async fn deliver(shopper: &mut Shopper) -> Outcome {
    let pictures = ["one.webp", "two.webp"]
        .map(|name| shopper.elsewhere("pictures.supplier.example", &format!("/pictures/{name}")));
    fetch(shopper, &pictures).await
}

async fn fetch(shopper: &mut Shopper, urls: &[String]) -> Outcome {
    shopper.log_in(seed::WHOLESALER + 15).await?;
    for (url, n) in urls.iter().cycle().take(6).zip(1..) {
        let path = format!("/api/products/{}/picture/import", seed::sku(n));
        shopper.post(&path, &json!({"url": url})).await?;
    }
    Ok(())
}
