//! Somebody draws the map of a gRPC server.

use super::{Act, SHORT, Scenario};
use crate::seed;
use crate::shopper::{Outcome, Shopper};

/// The scenario.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "grpc-mapping",
    owasp: "API9:2023",
    raises: &["grpc-probing"],
    flaws: &[],
    history: SHORT,
    requests: 60,
    rate: 4.0,
    attack: Act {
        story: "a client asks gRPC which services there are, and tries methods that there are not",
        play: |shopper| Box::pin(map(shopper)),
    },
    twin: Act {
        story: "the app asks gRPC where its parcels are; one method is too new for the server",
        play: |shopper| Box::pin(follow(shopper)),
    },
};

const WHERE: &str = "/shop.Parcels/Where";

async fn map(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(seed::WHOLESALER + 28).await?;
    shopper.call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "*").await?;
    for service in ["Parcels", "Orders", "Accounts"] {
        for method in ["List", "Get", "Export", "Delete"] {
            shopper.call(&format!("/shop.{service}/{method}"), "1").await?;
        }
    }
    Ok(())
}

async fn follow(shopper: &mut Shopper) -> Outcome {
    shopper.log_in(seed::WHOLESALER + 28).await?;
    for parcel in 0..12 {
        shopper.call(WHERE, &parcel.to_string()).await?;
    }
    shopper.call("/shop.Parcels/Forecast", "1").await.map(drop)
}
