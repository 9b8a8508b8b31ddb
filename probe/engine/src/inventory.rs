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
