//! Believing what others answer (unsafe consumption of APIs).

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "poisoned-supply",
    owasp: "API10:2023",
    raises: &["unsafe-consumption"],
    flaws: &[],
    history: SHORT,
    requests: 60,
    rate: 4.0,
    attack: Act {
        story: "the courier's interface goes wrong: other types, a script, a list without end, a redirect elsewhere",
        play: |shopper| Box::pin(be_poisoned(shopper)),
    },
    twin: Act { story: "the courier answers as ever", play: |shopper| Box::pin(be_served(shopper)) },
};

async fn be_poisoned(shopper: &mut Shopper) -> Outcome {
    ask(shopper, ["express", "moved"]).await
}

async fn be_served(shopper: &mut Shopper) -> Outcome {
    ask(shopper, ["standard", "economy"]).await
}

async fn ask(shopper: &mut Shopper, services: [&str; 2]) -> Outcome {
    shopper.log_in(seed::WHOLESALER).await?;
    let mine = (seed::FIRST_ORDER..).filter(|order| seed::order_owner(*order) == seed::WHOLESALER);
    for (order, service) in mine.take(6).zip(services.iter().cycle()) {
        shopper.get(&format!("/api/orders/{order}/shipping?service={service}")).await?;
    }
    Ok(())
}
