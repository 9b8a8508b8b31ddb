//! A WebSocket opened by a script of somebody else.

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "socket-hijack",
    owasp: "API2:2023",
    raises: &["websocket-origin"],
    flaws: &[],
    history: SHORT,
    requests: 60,
    rate: 4.0,
    attack: Act {
        story: "a script from a foreign origin opens the socket with nothing but the customer's cookie",
        play: |shopper| Box::pin(hijack(shopper)),
    },
    twin: Act {
        story: "the shop's own script opens it with the customer's token",
        play: |shopper| Box::pin(connect(shopper)),
    },
};

async fn hijack(shopper: &mut Shopper) -> Outcome {
    shopper.set_field("origin", Some("https://attacker.example"));
    shopper.set_field("cookie", Some("session=5f2c8d1e9b7a4f60"));
    watch(shopper).await
}

async fn connect(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(seed::WHOLESALER + 18).await?;
    shopper.set_field("origin", Some("https://www.shop.example"));
    watch(shopper).await
}

async fn watch(shopper: &mut Shopper) -> Outcome {
    let watched = (0..5).map(|n| format!("{{\"watch\":{n}}}")).collect::<Vec<_>>();
    for _ in 0..3 {
        shopper.talk(&watched).await?;
    }
    Ok(())
}
