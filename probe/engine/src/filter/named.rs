//! A filter that also knows workloads by the names that are on the screen.

use super::subject::{Field, Logged, Subject, Test};
use super::{CallChunk, CallRow, CoverageView, EdgeView, EndpointView, Filter};

/// A filter with the names of workloads.
#[derive(Clone, Copy)]
pub struct NamedFilter<'f, 'n> {
    pub(super) filter: &'f Filter,
    pub(super) name: &'f dyn Fn(&str) -> Option<&'n str>,
}

impl NamedFilter<'_, '_> {
    /// Whether a call of the log passes.
    #[must_use]
    pub fn row(&self, chunk: &CallChunk, row: &CallRow) -> bool {
        self.passes(&Logged { chunk, row })
    }

    /// Whether an endpoint passes.
    #[must_use]
    pub fn endpoint(&self, endpoint: &EndpointView) -> bool {
        self.passes(endpoint)
    }

    /// Whether an edge passes.
    #[must_use]
    pub fn edge(&self, edge: &EdgeView) -> bool {
        self.passes(edge)
    }

    /// Whether a row of the coverage passes.
    #[must_use]
    pub fn coverage(&self, coverage: &CoverageView) -> bool {
        self.passes(coverage)
    }

    fn passes(&self, row: &dyn Subject) -> bool {
        self.filter.passes(&Named { row, name: self.name })
    }
}

/// A row whose workloads have names.
struct Named<'r, 'n> {
    row: &'r dyn Subject,
    name: &'r dyn Fn(&str) -> Option<&'n str>,
}

impl Subject for Named<'_, '_> {
    fn text(&self, field: Field, test: Test<'_>) -> Option<bool> {
        match field {
            Field::Src | Field::Dst => {
                self.row.text(field, &mut |id| test(id) || (self.name)(id).is_some_and(&mut *test))
            }
            _ => self.row.text(field, test),
        }
    }

    fn status(&self, test: &mut dyn FnMut(u16) -> bool) -> Option<bool> {
        self.row.status(test)
    }

    fn duration(&self) -> Option<u64> {
        self.row.duration()
    }
}
