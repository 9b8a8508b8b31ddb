//! Specifications: OpenAPI 3.0, 3.1 and Swagger 2.0, GraphQL schemas and Protobuf services in one model.
//!
//! Tolerant: a broken document is normal. What cannot be read becomes a [`Problem`] with file, pointer and
//! line, and the rest still loads; nothing panics, every list has a bound. Documents come parsed, as JSON
//! values; finding, reading and parsing files is not done here, and nothing is ever fetched.
//!
//! Left out on purpose: webhooks and callbacks (the service is the caller there), examples, descriptions.

mod document;
mod locate;
mod operation;
mod outline;
mod portable;
mod read;
mod server;
mod weight;

pub use document::{Documents, beside, escaped};
pub use locate::line_of;
pub use outline::{Kinds, Outline, Properties, Property};
pub use portable::Part;
pub use read::{is_specification, read};

use compact_str::CompactString;
use std::fmt;
use std::sync::Arc;

/// Operations of one specification: four times what the largest public API has.
pub const MAX_OPERATIONS: usize = 16_384;
/// Problems that are kept of one specification; the rest is a count.
pub const MAX_PROBLEMS: usize = 100;
/// Parameters, responses, media types or servers of one operation. The largest in use have about a hundred.
pub const MAX_PARTS: usize = 128;
/// References that are followed from one to the next.
pub const MAX_HOPS: usize = 16;
/// Longest text that is kept of a document: a name, a title, a path.
pub const MAX_TEXT: usize = 512;

/// What was read of one specification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// Where it was read from, as it is shown.
    pub file: String,
    /// Its title.
    pub title: String,
    /// The version of the API that it describes.
    pub version: String,
    /// `OpenAPI 3.1` and so on, empty when it did not say.
    pub format: CompactString,
    /// Where the API is served, as far as it says so.
    pub servers: Vec<Server>,
    /// Where credentials are carried, by name: parameters of the query, header fields, cookies.
    pub keys: Vec<(Location, String)>,
    /// Its operations, in the order of paths and methods.
    pub operations: Vec<Operation>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Problems beyond [`MAX_PROBLEMS`].
    pub more_problems: usize,
}

/// Where an API is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// Host, lower case, with a port that is written out; empty when the address is relative.
    pub host: String,
    /// Path before all paths, without a slash at its end: `/v1`, or empty.
    pub base: String,
}

/// What kind of operations are documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// Methods and paths.
    #[default]
    Http,
    /// Root fields of a GraphQL schema, whatever the path: their kind is the method, their name the path.
    Graphql,
    /// Methods of a Protobuf service: `POST /package.Service/Method`.
    Grpc,
}

/// A documented operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// What kind it is of.
    pub api: Api,
    /// Method, upper case.
    pub method: CompactString,
    /// Path template as documented, without the base path.
    pub path: String,
    /// Base paths under which it is served; never empty.
    pub bases: Arc<[String]>,
    /// Its name.
    pub id: CompactString,
    /// Who looks after it: the first tag.
    pub owner: CompactString,
    /// It should not be used any more.
    pub deprecated: bool,
    /// A caller must prove who it is.
    pub secured: bool,
    /// Parameters, those of the path included.
    pub parameters: Vec<Parameter>,
    /// What the request carries, if it may carry anything.
    pub request: Option<Content>,
    /// A request without a body is a mistake.
    pub needs_body: bool,
    /// What may come back.
    pub responses: Vec<Response>,
    /// Where it stands.
    pub place: Place,
}

/// A place in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// File, as it is shown.
    pub file: Arc<str>,
    /// JSON pointer; `Query.users` of a GraphQL schema, `package.Service.Method` of a Protobuf file.
    pub pointer: String,
}

/// Where a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
}

impl Location {
    pub(crate) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "path" => Self::Path,
            "query" => Self::Query,
            "header" => Self::Header,
            "cookie" => Self::Cookie,
            _ => return None,
        })
    }
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, as documented.
    pub name: CompactString,
    /// Where it is.
    pub location: Location,
    /// A request without it is a mistake.
    pub required: bool,
    /// Which values it may have, as far as that can be told from the shape of a value.
    pub fits: Fits,
}

/// Which values a parameter may have, by their shape alone. Strictest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fits {
    /// Numbers.
    Integer,
    /// UUIDs.
    Uuid,
    /// Dates.
    Date,
    /// Anything.
    #[default]
    Any,
}

/// What a message may carry: media types, lower case, with what each looks like where that is said. Shared: most operations
/// answer their failures alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Content(pub Arc<[(CompactString, Option<Arc<Outline>>)]>);

impl Content {
    /// Whether a media type is documented; `*/*`, `text/*` and `+json` match as they do elsewhere.
    #[must_use]
    pub fn allows(&self, media: &str) -> bool {
        self.0.iter().any(|(documented, _)| covers(documented, media))
    }

    /// What a body of this media type looks like, where that is said.
    #[must_use]
    pub fn outline(&self, media: &str) -> Option<&Outline> {
        self.0.iter().find(|(documented, _)| covers(documented, media))?.1.as_deref()
    }
}

/// Whether a documented range of media types covers one.
fn covers(documented: &str, media: &str) -> bool {
    match documented.split_once('/') {
        Some(("*", "*")) => true,
        Some((kind, "*")) => media.split_once('/').is_some_and(|(theirs, _)| theirs == kind),
        _ => documented == media,
    }
}

/// What an operation may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// With which status.
    pub status: Status,
    /// What it carries; `None` when that is not said, and anything may come.
    pub content: Option<Content>,
}

/// Documented statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// One of them.
    Code(u16),
    /// All that begin with this digit: `4XX`.
    Class(u8),
    /// All that are not named.
    Default,
}

impl Status {
    /// Whether a status is meant.
    #[must_use]
    pub const fn covers(self, status: u16) -> bool {
        match self {
            Self::Code(code) => code == status,
            Self::Class(class) => status / 100 == class as u16,
            Self::Default => true,
        }
    }
}

/// Something that is wrong with a specification.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// File, as it is shown.
    pub file: String,
    /// JSON pointer, empty for the whole document.
    pub pointer: String,
    /// Line, from 1, where it is known.
    pub line: Option<u32>,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(out, ":{line}")?;
        }
        if !self.pointer.is_empty() {
            write!(out, " at {}", self.pointer)?;
        }
        write!(out, ": {}", self.what)
    }
}

#[cfg(test)]
mod tests;
