//! What a call has in it that a detector may go by. It is looked at once per call, so that a detector which would find nothing to
//! look at is not even asked: most calls have little in them.

use crate::flow::is_public;
use crate::trail::{Outcome, Place};
use apisec_proto::call::{Call, Protocol, Traits};

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cues(u32);

impl Cues {
    /// Nothing: for what goes by the sums that every trail holds.
    pub const NONE: Self = Self(0);
    /// It has a credential.
    pub const CREDENTIAL: Self = Self(1);
    /// Something is odd about its credential.
    pub const ODD_CREDENTIAL: Self = Self(1 << 1);
    /// Its credential says when it ends.
    pub const ENDS: Self = Self(1 << 2);
    /// It names query parameters.
    pub const QUERY: Self = Self(1 << 3);
    /// Something was noted about it.
    pub const NOTES: Self = Self(1 << 4);
    /// It has something that is joined with other calls.
    pub const CLUES: Self = Self(1 << 5);
    /// Somebody tries to get into an account.
    pub const ACCOUNT: Self = Self(1 << 6);
    /// It asks for objects, or was given some.
    pub const OBJECTS: Self = Self(1 << 7);
    /// Its request body was read.
    pub const REQUEST: Self = Self(1 << 8);
    /// Its response body was read.
    pub const ANSWER: Self = Self(1 << 9);
    /// It has a request body.
    pub const SENT: Self = Self(1 << 10);
    /// It is a GraphQL document that was measured.
    pub const GRAPHQL: Self = Self(1 << 11);
    /// It is gRPC.
    pub const GRPC: Self = Self(1 << 12);
    /// It was refused because of who asks.
    pub const DENIED: Self = Self(1 << 13);
    /// It came above a limit of the server.
    pub const LIMITED: Self = Self(1 << 14);
    /// It names nobody, and an object.
    pub const NAMELESS_READ: Self = Self(1 << 15);
    /// Only administrators need its operation.
    pub const ADMIN: Self = Self(1 << 16);
    /// It is a step of a flow that is made for people.
    pub const FLOW: Self = Self(1 << 17);
    /// Its host is one for tests.
    pub const TEST_HOST: Self = Self(1 << 18);
    /// One of its ends has an address that anybody on the Internet may have.
    pub const PUBLIC: Self = Self(1 << 19);
    /// Its method is one that servers should not know.
    pub const TRACE: Self = Self(1 << 20);

    /// These and those.
    #[must_use]
    pub const fn or(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// Whether any of them is among the others.
    #[must_use]
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// What there is in a call.
    pub(crate) fn of(call: &Call, outcome: Outcome, values: &[u64], place: Place, for_tests: bool) -> Self {
        let bodies = call.bodies.as_deref();
        let credential = call.credential.as_deref();
        let objects = &call.objects;
        let all = [
            (Self::CREDENTIAL, credential.is_some()),
            (
                Self::ODD_CREDENTIAL,
                credential.is_some_and(|credential| credential.traits != Traits::default()),
            ),
            (Self::ENDS, credential.is_some_and(|credential| credential.expires > 0)),
            (Self::QUERY, !call.query.is_empty()),
            (Self::NOTES, call.notes != Default::default()),
            (Self::CLUES, call.clues.is_some()),
            (Self::ACCOUNT, objects.account.is_some()),
            (Self::OBJECTS, !(objects.asked.is_empty() && objects.given.is_empty())),
            (Self::REQUEST, bodies.is_some_and(|bodies| bodies.request.is_some())),
            (Self::ANSWER, bodies.is_some_and(|bodies| bodies.response.is_some())),
            (Self::SENT, call.request_body > 0),
            (Self::GRAPHQL, call.graphql.is_some()),
            (Self::GRPC, call.protocol == Protocol::Grpc),
            (Self::DENIED, outcome == Outcome::Denied),
            (Self::LIMITED, call.status == Some(429)),
            (Self::NAMELESS_READ, call.identity.is_none() && !values.is_empty()),
            (Self::ADMIN, place.is_admin),
            (Self::FLOW, place.is_flow),
            (Self::TEST_HOST, for_tests),
            (Self::PUBLIC, is_public(call.src_addr.ip()) || is_public(call.dst_addr.ip())),
            (Self::TRACE, call.method == "TRACE"),
        ];
        Self(all.iter().fold(0, |seen, (cue, there)| seen | if *there { cue.0 } else { 0 }))
    }
}
