//! The inventory: which operations a service has, with the variable parts of their paths named.
//!
//! Two steps. [`segment`] types each path segment at first sight, without history, so that every node
//! names an endpoint alike. [`template`] then looks at all endpoints of a service and folds siblings that
//! are values too, but could not be told from words one at a time.
//!
//! Naming: a parameter is `{id:<type>}` when it identifies something (`{id:int}`, `{id:uuid}`, `{id:hex}`),
//! `{<class>}` when the class says it all (`{date}`, `{email}`, `{ip}`), and `{name}` for folded free text.

pub mod rules;
pub mod segment;
pub mod siblings;
pub mod template;
pub mod words;

/// The segment of a path that says which version of an API it belongs to: `v2` of `/api/v2/users`.
#[must_use]
pub fn version(path: &str) -> Option<&str> {
    let is_version = |segment: &&str| {
        let number = segment.strip_prefix('v').unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    path.split('/').find(is_version)
}
