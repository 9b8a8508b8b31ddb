//! What the operator asks for. Whoever takes an order does not decide what it means, and journals it first.

use super::{Policy, Ttl};

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Put a policy into force.
    Apply {
        /// Which.
        policy: Box<Policy>,
        /// Names that were typed to force what is refused otherwise.
        forced: bool,
    },
    /// Put another policy in the place of one that is in force.
    Replace {
        /// Which is replaced.
        id: u32,
        /// By which.
        policy: Box<Policy>,
        /// Names that were typed to force what is refused otherwise.
        forced: bool,
    },
    /// Take a policy back.
    Undo(u32),
    /// Take the policy back that was applied last.
    UndoLast,
    /// Take everything back.
    UndoAll,
    /// Let a policy last so long from now on.
    Renew(u32, Ttl),
}
