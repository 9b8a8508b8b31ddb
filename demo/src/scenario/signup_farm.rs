//! Accounts by the dozen (unrestricted access to sensitive business flows).

use super::{Act, SHORT, Scenario};
use crate::shopper::{Outcome, Shopper};
use serde_json::json;

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "signup-farm",
    owasp: "API6:2023",
    raises: &["business-flow"],
    flaws: &[],
    history: SHORT,
    requests: 120,
    rate: 8.0,
    attack: Act {
        story: "a program opens sixty accounts from one machine",
        play: |shopper| Box::pin(farm(shopper)),
    },
    twin: Act {
        story: "a few people open an account, each on a machine of their own, and look around",
        play: |shopper| Box::pin(join(shopper)),
    },
};

async fn farm(shopper: &mut Shopper) -> Outcome {
    for n in 0..60 {
        sign_up(shopper, &format!("farm{n}")).await?;
    }
    Ok(())
}

async fn join(shopper: &mut Shopper) -> Outcome {
    for (name, machine) in ["mary", "margaret", "joan", "frances"].iter().zip(210..) {
        shopper.move_to(machine);
        shopper.get("/api/products?category=books&page=1").await?;
        sign_up(shopper, name).await?;
        shopper.get("/api/products?category=games&page=1").await?;
    }
    Ok(())
}

async fn sign_up(shopper: &mut Shopper, name: &str) -> Outcome {
    let wanted = json!({"email": format!("{name}@mail.example"), "password": format!("pw-{name}-0")});
    shopper.post("/api/signup", &wanted).await.map(drop)
}
