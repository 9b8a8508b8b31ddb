//! What the bodies of a call look like: format, coding, shape, and which sensitive classes occur. Never a value.

pub mod shape;

use serde::{Deserialize, Serialize};
use shape::{Shape, Tally};

/// The bodies of a call, those that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bodies {
    /// What was asked with.
    pub request: Option<Body>,
    /// What was answered.
    pub response: Option<Body>,
}

impl Bodies {
    /// Keeps the promises of bodies that were read from a file.
    #[must_use]
    pub fn bounded(self) -> Self {
        let bounded = |body: Body| Body { shape: body.shape.bounded(), ..body };
        Self { request: self.request.map(bounded), response: self.response.map(bounded) }
    }
}

/// One body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// What it is.
    pub format: Format,
    /// How it was compressed.
    pub coding: Coding,
    /// Bytes that were read, decompressed.
    pub read: u64,
    /// All of it was read: what is not in the shape is not in the body.
    pub whole: bool,
    /// Its keys and types.
    pub shape: Shape,
    /// Sensitive values by class.
    pub sensitive: Tally,
}

/// What a body is, by its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Nothing that we read.
    #[default]
    Binary,
    /// JSON (RFC 8259), also as a prefix.
    Json,
    /// `a=1&b=2`.
    Form,
    /// `multipart/*`.
    Multipart,
    /// XML.
    Xml,
    /// Other text.
    Text,
}

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// None.
    #[default]
    Identity,
    /// gzip.
    Gzip,
    /// zlib, or raw deflate as some send it.
    Deflate,
    /// Brotli.
    Br,
    /// Zstandard.
    Zstd,
    /// Another, or several: left unread.
    Unknown,
}
