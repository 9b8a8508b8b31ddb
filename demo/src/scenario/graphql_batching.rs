//! Many tries in one GraphQL request.

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};
use serde_json::json;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "graphql-batching",
    owasp: "API4:2023",
    raises: &["graphql-cost"],
    flaws: &[],
    history: SHORT,
    requests: 20,
    rate: 2.0,
    attack: Act {
        story: "sixty passwords are tried in one document, under sixty aliases; then a query thirty levels deep",
        play: |shopper| Box::pin(pack(shopper)),
    },
    twin: Act {
        story: "the app compares three products in one document",
        play: |shopper| Box::pin(compare(shopper)),
    },
};

/// Whose password is tried.
const VICTIM: u64 = seed::WHOLESALER + 17;

async fn pack(shopper: &mut Shopper) -> Outcome {
    let tries = (0..60).map(|n| {
        format!("t{n}: login(email: \"{}\", password: \"pw-{n}\") {{ token }} ", seed::email(VICTIM))
    });
    let document = format!("mutation {{ {} }}", tries.collect::<String>());
    shopper.post("/graphql", &json!({"query": document})).await?;
    let deep = format!("{{ product {}{{ title }}{} }}", "{ related ".repeat(30), " }".repeat(30));
    shopper.post("/graphql", &json!({"query": deep})).await?;
    let batch = (0..40).map(|_| json!({"query": "{ offers { title } }"})).collect::<Vec<_>>();
    shopper.post("/graphql", &json!(batch)).await.map(drop)
}

async fn compare(shopper: &mut Shopper) -> Outcome {
    let document = "{ a: product(sku: \"BK-10005\") { title } b: product(sku: \"GM-10001\") { title } \
                    c: product(sku: \"KT-10003\") { title } }";
    for _ in 0..3 {
        shopper.post("/graphql", &json!({"query": document})).await?;
    }
    Ok(())
}
