//! The filter of the screen: words that must all occur somewhere in what is shown.

use apisec_engine::call_log::{CallChunk, CallRow};
use apisec_engine::snapshot::{EdgeView, EndpointView};

/// A parsed filter; the empty one lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    words: Vec<String>,
}

/// Why a filter was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// Byte of the text where it went wrong.
    pub at: usize,
    /// What was expected.
    pub message: String,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// The text is no filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let words = text.split_whitespace().map(str::to_lowercase).collect();
        Ok(Self { text: text.trim().to_owned(), words })
    }

    /// What was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether a call of the log passes.
    #[must_use]
    pub fn call(&self, chunk: &CallChunk, row: &CallRow) -> bool {
        if self.is_empty() {
            return true;
        }
        let workload = |index: u32| chunk.workloads.get(index as usize).map_or("", |id| id.as_str());
        let endpoint = chunk.endpoints.get(row.endpoint as usize);
        let method = endpoint.map_or("", |endpoint| endpoint.method.as_str());
        let status = row.status.to_string();
        self.all(&[workload(row.src), workload(row.dst), method, chunk.path(row), &status])
    }

    /// Whether an endpoint passes.
    #[must_use]
    pub fn endpoint(&self, endpoint: &EndpointView) -> bool {
        self.all(&[&endpoint.service, &endpoint.method, &endpoint.path, &endpoint.protocol])
    }

    /// Whether an edge passes.
    #[must_use]
    pub fn edge(&self, edge: &EdgeView) -> bool {
        self.all(&[&edge.src, &edge.dst, &edge.protocol])
    }

    fn all(&self, fields: &[&str]) -> bool {
        self.words.iter().all(|word| fields.iter().any(|field| field.to_lowercase().contains(word.as_str())))
    }
}

/// The filter that shows one service.
#[must_use]
pub fn service(id: &str) -> String {
    id.to_owned()
}

/// The filter that shows the calls of one endpoint: its method and the longest literal part of its path.
#[must_use]
pub fn endpoint(endpoint: &EndpointView) -> String {
    let literal =
        endpoint.path.split(['{', '}']).step_by(2).max_by_key(|part| part.len()).unwrap_or_default();
    format!("{} {literal}", endpoint.method)
}
