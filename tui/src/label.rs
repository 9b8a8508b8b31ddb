//! What workloads are called on screen: short, escaped, and never the same for two of them.

use crate::widget::escape::escape;
use apisec_engine::snapshot::{Kind, Snapshot};
use std::collections::HashMap;

/// Names of the workloads of one snapshot.
#[derive(Debug, Default)]
pub struct Labels {
    by_id: HashMap<String, Label>,
}

#[derive(Debug)]
struct Label {
    text: String,
    external: bool,
}

impl Labels {
    /// Names every workload; those with the same name are told apart by the rest of their id.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut times: HashMap<&str, u32> = HashMap::new();
        for workload in &snapshot.workloads {
            *times.entry(workload.name.as_str()).or_default() += 1;
        }
        let unique = |name: &str| !name.is_empty() && times.get(name) == Some(&1);
        let by_id = snapshot.workloads.iter().map(|workload| {
            let text =
                if unique(&workload.name) { escape(&workload.name) } else { escape(short(&workload.id)) };
            (
                workload.id.clone(),
                Label { text: text.into_owned(), external: workload.kind == Kind::External },
            )
        });
        Self { by_id: by_id.collect() }
    }

    /// The name of the workload `id`.
    #[must_use]
    pub fn get(&self, id: &str) -> String {
        self.by_id.get(id).map_or_else(|| escape(short(id)).into_owned(), |label| label.text.clone())
    }

    /// The name of the workload `id`, if it is one of this snapshot.
    #[must_use]
    pub fn known(&self, id: &str) -> Option<&str> {
        self.by_id.get(id).map(|label| label.text.as_str())
    }

    /// How many workloads have names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether `id` is not on a probed node.
    #[must_use]
    pub fn is_external(&self, id: &str) -> bool {
        self.by_id.get(id).map_or_else(|| id.starts_with("external:"), |label| label.external)
    }
}

/// An id without its kind: `nginx:8080` of `process:nginx:8080`.
fn short(id: &str) -> &str {
    id.split_once(':').map_or(id, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn equal_names_are_told_apart() {
        let mut snapshot = fixture::shop();
        for workload in snapshot.workloads.iter_mut().take(2) {
            workload.name = "same".into();
        }
        let ids: Vec<_> = snapshot.workloads.iter().map(|w| w.id.clone()).collect();
        let labels = Labels::of(&snapshot);
        assert_ne!(labels.get(&ids[0]), labels.get(&ids[1]));
    }

    #[test]
    fn unknown_ids_are_shown_escaped() {
        assert_eq!(Labels::default().get("process:a\u{1b}b"), "a\\x1bb");
    }
}
