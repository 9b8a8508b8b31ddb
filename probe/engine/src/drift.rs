//! What is documented and what is called, side by side.
//!
//! A [`Contract`] is all that the specifications of one service say. An observed endpoint is matched against it
//! once, when it is first seen ([`matcher`]); its state follows from counters that are kept anyway, so that a
//! call costs nothing here and nothing is ever scanned again. Statuses, media types, parameters and authentication are
//! compared ([`difference`]), and bodies by their shapes ([`body`]), because no value of one is ever kept.
//!
//! How an address is compared with a documented one:
//!
//! * **Literals go before parameters**, and a route that has the method goes before one that lacks it.
//! * **A parameter that is documented as a number** (or UUID, or date) takes only such values. Another value is
//!   still that operation while it is refused (`/orders/undefined`, 422), and another operation, a shadow, as soon
//!   as it is accepted (`/orders/export`, 200).
//! * **Base paths** of `servers` go before the path. An address without it is accepted too, because a gateway may
//!   have taken it off; one with a prefix that no server names is not.
//! * **A slash at the end** makes no difference; double slashes, dot segments and needless percent-encoding are
//!   undone before (`apisec_proto::path`), and on documented literals alike. Matrix parameters (`;v=1`) are left out.
//! * **Letter case** matters first. Where nothing else matches it is ignored, and that is a difference.
//! * **HEAD** is documented where GET is (RFC 9110 §9.3.2). **OPTIONS** is answered by a server for any path: on a
//!   documented path it is active, elsewhere it proves nothing.
//! * **Method override** (`X-HTTP-Method-Override`, `_method`) is not followed: the call counts under the method on
//!   the wire, because that is what a gateway's rules see.
//! * **GraphQL** is documented by a schema, field by field and whatever the path: a call is documented when all its root
//!   fields are ([`fields`]). **gRPC** is documented by its path, `/package.Service/Method`; a server that answers
//!   "unimplemented" is a router that refuses.
//! * WebSocket, JSON-RPC and other calls whose method is not that of HTTP are documented where their path is; GraphQL as
//!   well where there is no schema.

pub mod binding;
pub mod body;
pub mod contract;
pub mod difference;
pub mod fields;
pub mod matcher;
pub mod state;

pub use binding::{By, Chosen, Given, Names};
pub use contract::{Contract, Documented};
