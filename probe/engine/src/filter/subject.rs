//! What a filter can ask a row about.

use super::*;
use crate::vocabulary;

/// A field that holds text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Src,
    Dst,
    Method,
    Operation,
    Path,
    Endpoint,
    Host,
    Protocol,
    Auth,
    Identity,
    Note,
    Vantage,
    Query,
    Drift,
    Owner,
}

impl Field {
    /// Whether a call has it on its node as where the nodes meet: names, templates and documents are known there only.
    pub(super) const fn is_the_same_on_nodes(self) -> bool {
        !matches!(self, Self::Src | Self::Dst | Self::Endpoint | Self::Drift | Self::Owner | Self::Operation)
    }

    /// Every field with its names in the language; the first is the one that help shows.
    pub(super) const ALL: [(Self, &'static [&'static str]); 15] = [
        (Self::Src, &["src", "from", "caller"]),
        (Self::Dst, &["dst", "to", "service"]),
        (Self::Method, &["method"]),
        (Self::Operation, &["operation", "op"]),
        (Self::Path, &["path"]),
        (Self::Endpoint, &["endpoint"]),
        (Self::Host, &["host"]),
        (Self::Protocol, &["proto", "protocol"]),
        (Self::Auth, &["auth"]),
        (Self::Identity, &["id", "identity"]),
        (Self::Note, &["note"]),
        (Self::Vantage, &["vantage"]),
        (Self::Query, &["query"]),
        (Self::Drift, &["drift"]),
        (Self::Owner, &["owner"]),
    ];

    /// Its values are words, compared as a whole.
    pub(super) const fn is_word(self) -> bool {
        matches!(self, Self::Method | Self::Protocol | Self::Auth | Self::Vantage | Self::Drift)
    }
}

/// Asks whether a text is what is wanted.
pub(super) type Test<'a> = &'a mut dyn FnMut(&str) -> bool;

/// A row that can be filtered. `None` means that it has no such thing.
pub(super) trait Subject {
    /// Whether any value of a field passes the test.
    fn text(&self, field: Field, test: Test<'_>) -> Option<bool>;

    /// Whether any status passes the test; an unanswered call has status 0.
    fn status(&self, test: &mut dyn FnMut(u16) -> bool) -> Option<bool>;

    /// Total time, nanoseconds.
    fn duration(&self) -> Option<u64>;

    /// Whether any text passes the test.
    fn any_text(&self, test: Test<'_>) -> bool {
        // The word of a state is not among what is shown: `active` would find almost everything.
        let shown = Field::ALL.iter().filter(|(field, _)| *field != Field::Drift);
        shown.into_iter().any(|(field, _)| self.text(*field, test).unwrap_or(false))
            || self.status(&mut |status| test(&status.to_string())).unwrap_or(false)
    }
}

/// A call as it happens.
pub(super) struct Live<'a> {
    pub(super) call: &'a Call,
    pub(super) endpoint: &'a str,
}

impl Subject for Live<'_> {
    fn text(&self, field: Field, test: Test<'_>) -> Option<bool> {
        let call = self.call;
        Some(match field {
            Field::Src => test(&call.src.workload.id) || test(&call.src.workload.name),
            Field::Dst => test(&call.dst.workload.id) || test(&call.dst.workload.name),
            Field::Method => test(&call.method),
            Field::Operation => test(&call.operation),
            Field::Path => test(&call.path),
            Field::Endpoint => test(self.endpoint),
            Field::Host => test(&call.host),
            Field::Protocol => test(vocabulary::protocol(call.protocol)),
            Field::Auth => test(vocabulary::auth(call.auth)),
            Field::Identity => call.identity.is_some_and(|identity| test(&format!("{:016x}", identity.0))),
            Field::Note => call.notes.names().any(test),
            Field::Vantage => test(vocabulary::vantage(call.vantage)),
            Field::Query => call.query.iter().any(|name| test(name)),
            Field::Drift | Field::Owner => return None,
        })
    }

    fn status(&self, test: &mut dyn FnMut(u16) -> bool) -> Option<bool> {
        (!self.call.is_one_way()).then(|| test(self.call.status.unwrap_or(0)))
    }

    fn duration(&self) -> Option<u64> {
        Some(self.call.duration)
    }
}

/// A call of the log.
pub(super) struct Logged<'a> {
    pub(super) chunk: &'a CallChunk,
    pub(super) row: &'a CallRow,
}

impl Subject for Logged<'_> {
    fn text(&self, field: Field, test: Test<'_>) -> Option<bool> {
        let Self { chunk, row } = self;
        let workload = |index: u32| chunk.workloads.get(index as usize).map_or("", |id| id.as_str());
        let endpoint = chunk.endpoints.get(row.endpoint as usize)?;
        Some(match field {
            Field::Src => test(workload(row.src)),
            Field::Dst => test(workload(row.dst)),
            Field::Method => test(&endpoint.method),
            Field::Operation => test(&endpoint.operation),
            Field::Path => test(chunk.path(row)),
            Field::Endpoint => test(&endpoint.path),
            Field::Host => test(&endpoint.host),
            Field::Protocol => test(vocabulary::protocol(endpoint.protocol)),
            Field::Auth => test(vocabulary::auth(row.auth)),
            Field::Identity => row.identity.is_some_and(|identity| test(&format!("{:016x}", identity.0))),
            Field::Note => row.notes.names().any(test),
            Field::Vantage => test(vocabulary::vantage(row.vantage)),
            Field::Query | Field::Drift | Field::Owner => return None,
        })
    }

    fn status(&self, test: &mut dyn FnMut(u16) -> bool) -> Option<bool> {
        (!self.row.is_one_way()).then(|| test(self.row.status))
    }

    fn duration(&self) -> Option<u64> {
        Some(self.row.duration)
    }
}

impl Subject for EndpointView {
    fn text(&self, field: Field, test: Test<'_>) -> Option<bool> {
        let any = |values: &[String], test: Test<'_>| values.iter().any(|value| test(value));
        Some(match field {
            Field::Src => any(&self.callers, test),
            Field::Dst => test(&self.service),
            Field::Method => test(&self.method),
            Field::Operation => test(&self.operation),
            Field::Path | Field::Endpoint => test(&self.path),
            Field::Host => any(&self.hosts, test),
            Field::Protocol => test(&self.protocol),
            Field::Auth => any(&self.auth, test),
            Field::Note => self.notes.keys().any(|note| test(note)),
            Field::Query => any(&self.query, test),
            Field::Drift => {
                test(self.drift.word())
                    || (self.deprecated_in_use && test("deprecated"))
                    || (self.schema_drift && test("schema"))
            }
            Field::Owner => test(&self.documentation.owner),
            Field::Identity | Field::Vantage => return None,
        })
    }

    fn status(&self, test: &mut dyn FnMut(u16) -> bool) -> Option<bool> {
        let answered = self.statuses.keys().filter_map(|status| status.parse().ok()).any(&mut *test);
        Some(answered || (self.unanswered > 0 && test(0)))
    }

    fn duration(&self) -> Option<u64> {
        Some(self.p99_us.saturating_mul(1000))
    }
}

impl Subject for EdgeView {
    fn text(&self, field: Field, test: Test<'_>) -> Option<bool> {
        match field {
            Field::Src => Some(test(&self.src)),
            Field::Dst => Some(test(&self.dst)),
            Field::Protocol => Some(test(&self.protocol)),
            _ => None,
        }
    }

    fn status(&self, _: &mut dyn FnMut(u16) -> bool) -> Option<bool> {
        None
    }

    fn duration(&self) -> Option<u64> {
        Some(self.p99_us.saturating_mul(1000))
    }
}

impl Subject for CoverageView {
    fn text(&self, field: Field, test: Test<'_>) -> Option<bool> {
        match field {
            Field::Src | Field::Dst => Some(test(&self.workload) || test(&self.name)),
            Field::Protocol => Some(test(&self.protocol)),
            Field::Note => Some(test(&self.reason) || test(&self.library)),
            _ => None,
        }
    }

    fn status(&self, _: &mut dyn FnMut(u16) -> bool) -> Option<bool> {
        None
    }

    fn duration(&self) -> Option<u64> {
        None
    }
}

impl Subject for WorkloadView {
    fn text(&self, field: Field, test: Test<'_>) -> Option<bool> {
        match field {
            Field::Src | Field::Dst => {
                let texts =
                    [&self.id, &self.name, &self.exe, &self.command, &self.user, &self.unit, &self.container];
                Some(texts.into_iter().any(|text| test(text)))
            }
            Field::Host => Some(test(&self.address)),
            _ => None,
        }
    }

    fn status(&self, _: &mut dyn FnMut(u16) -> bool) -> Option<bool> {
        None
    }

    fn duration(&self) -> Option<u64> {
        None
    }
}
