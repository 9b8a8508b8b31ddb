//! What became of a call, as far as it matters to whoever must decide whether an attack succeeded.

use apisec_proto::call::{Call, Protocol};
use serde::{Deserialize, Serialize};

/// gRPC's codes for `PERMISSION_DENIED` and `UNAUTHENTICATED`.
const GRPC_DENIED: [i32; 2] = [7, 16];

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// The server did what was asked.
    Accepted,
    /// It said who may not: 401, 403 and their like.
    Denied,
    /// It refused otherwise: 4xx, or a failure by the word of the application.
    Refused,
    /// It failed or did not answer.
    Failed,
}

impl Outcome {
    /// Every outcome, by number.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Denied, Self::Refused, Self::Failed];

    /// What became of `call`.
    #[must_use]
    pub fn of(call: &Call) -> Self {
        match call.status {
            Some(401 | 403) => Self::Denied,
            Some(400..=499) => Self::Refused,
            Some(500..) => Self::Failed,
            None if call.is_unanswered() => Self::Failed,
            _ if call.failed && call.protocol == Protocol::Grpc => match call.app_status {
                Some(code) if GRPC_DENIED.contains(&code) => Self::Denied,
                _ => Self::Refused,
            },
            _ if call.failed => Self::Refused,
            _ => Self::Accepted,
        }
    }
}
