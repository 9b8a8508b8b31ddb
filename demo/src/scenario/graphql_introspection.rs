//! Reading the whole schema of a GraphQL server.

use super::{Act, SHORT, Scenario};
use crate::shopper::{Outcome, Shopper};
use serde_json::json;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "graphql-introspection",
    owasp: "API8:2023",
    raises: &["graphql-introspection"],
    flaws: &[],
    history: SHORT,
    requests: 20,
    rate: 2.0,
    attack: Act {
        story: "somebody asks a server in production for its schema",
        play: |shopper| Box::pin(inspect(shopper)),
    },
    twin: Act { story: "the app asks for what it shows", play: |shopper| Box::pin(show(shopper)) },
};

async fn inspect(shopper: &mut Shopper) -> Outcome {
    ask(shopper, "query Everything { __schema { types { name fields { name } } queryType { name } } }").await
}

async fn show(shopper: &mut Shopper) -> Outcome {
    ask(shopper, "query Product { product(sku: \"BK-10005\") { title related { title } } __typename }").await
}

async fn ask(shopper: &mut Shopper, query: &str) -> Outcome {
    for _ in 0..4 {
        shopper.post("/graphql", &json!({"query": query})).await?;
    }
    Ok(())
}
