//! A WebSocket that is never quiet.

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "socket-flood",
    owasp: "API4:2023",
    raises: &["websocket-flood"],
    flaws: &[],
    history: SHORT,
    requests: 4000,
    rate: 150.0,
    attack: Act {
        story: "one socket sends a hundred and fifty messages a second",
        play: |shopper| Box::pin(flood(shopper)),
    },
    twin: Act {
        story: "one socket is watched for as long, now and then",
        play: |shopper| Box::pin(watch(shopper)),
    },
};

async fn flood(shopper: &mut Shopper) -> Outcome {
    talk(shopper, 2500, 0).await
}

async fn watch(shopper: &mut Shopper) -> Outcome {
    talk(shopper, 20, 100).await
}

async fn talk(shopper: &mut Shopper, messages: usize, pauses: usize) -> Outcome {
    shopper.log_in(seed::WHOLESALER + 19).await?;
    shopper.set_field("origin", Some("https://www.shop.example"));
    let watched = (0..messages).map(|n| format!("{{\"watch\":{n}}}")).collect::<Vec<_>>();
    shopper.talk_slowly(&watched, pauses).await
}
