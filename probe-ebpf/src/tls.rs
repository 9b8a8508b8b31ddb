//! Plaintext of TLS, at the edge of the library: probes in the functions that give it to a program or take it
//! from one. Only user memory that the function itself has just used is read; nothing is ever changed.
//!
//! * What goes in is kept when a call begins ([`call`]), and read when it has succeeded: a call that would
//!   block is repeated by the program, and would count twice.
//! * Every site may be hit twice for one call (the same file behind two overlay mounts): the first hit of an
//!   end takes the beginning away, the second finds nothing.
//! * Which connection it is, is found by what the thread does inside the call ([`tie`]).

mod call;
mod go;
pub mod hello;
pub mod opaque;
mod rustls;
mod sent;
mod session;
mod ship;
pub mod threads;
mod tie;
mod told;
