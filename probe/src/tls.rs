//! TLS of this node from the inside: which programs use which library, where in it the plaintext can be read,
//! and over which connection it went.
//!
//! [`scan`] looks at what running programs have mapped ([`maps`]), reads the files ([`image`]), finds the functions of the
//! libraries it knows ([`library`]) and the places in them where a probe is cheap ([`site`]); `attach::tls` puts the
//! probes there. What they report is joined to connections by [`sessions`], and goes the way of all traffic from there.
//!
//! What it deliberately does not do: hold keys, decrypt anything, change a program, or guess in a stripped one.

pub mod go;
pub mod image;
pub mod library;
pub mod maps;
pub mod opaque;
pub mod own;
pub mod probes;
pub mod rustls;
pub mod scan;
pub mod self_test;
pub mod sessions;
pub mod site;
