//! A delta that came from elsewhere is input like any other: what no observer of ours would have written goes,
//! and is counted. What its types can check of themselves (order, sizes of sets) they check when they are read.

use super::Delta;
use crate::call_log::{CallChunk, CallRow};
use crate::endpoint::{EndpointKey, PARAMETERS};
use crate::looks::Looks;
use crate::trail::{Trail, TrailKey};
use apisec_proto::call::Workload;
use std::sync::Arc;

/// Longest id, path or operation that is believed: a call's path has at most 512 bytes, and typing it may add to it.
const MAX_NAME: usize = 1_024;
/// Longest line of description: command lines are cut at 256 bytes.
const MAX_TEXT: usize = 1_024;

impl Delta {
    /// Drops rows that make no sense; returns how many.
    pub fn distrust(&mut self) -> u64 {
        let before = self.rows();
        self.workloads
            .retain(|row| is_name(&row.id) && *row.id == *row.workload.id && is_short(&row.workload));
        self.endpoints.retain(|(key, _)| is_key(key));
        for (_, stats) in &mut self.endpoints {
            stats.values.truncate(PARAMETERS);
            if let Some(looks) = &mut stats.looks {
                // Adding puts them in order, and within their bounds.
                let mut ordered = Looks::default();
                ordered.merge(looks);
                if ordered != **looks {
                    *looks = Arc::new(ordered);
                }
            }
        }
        self.edges.retain(|(key, _)| is_name(&key.src) && is_name(&key.dst));
        self.renames.retain(|rename| is_name(&rename.from) && is_name(&rename.to));
        self.trails.retain(|(key, _, _)| is_trail(key));
        for (_, _, trail) in &mut self.trails {
            // Adding puts the members in order, and within their bounds.
            let mut ordered = Trail::default();
            ordered.merge(trail);
            *trail = ordered;
        }
        self.legs.retain(|legs| legs.names.iter().all(|id| is_name(id)));
        self.log.retain(|chunk| chunk.workloads.iter().all(|id| is_name(id)));
        for chunk in &mut self.log {
            let wrong = chunk.rows.iter().any(|row| !is_whole(chunk, row));
            if wrong {
                let whole = chunk.clone();
                Arc::make_mut(chunk).rows.retain(|row| is_whole(&whole, row));
            }
        }
        self.ticks.trim();
        before.saturating_sub(self.rows()) as u64
    }

    fn rows(&self) -> usize {
        self.workloads.len()
            + self.endpoints.len()
            + self.edges.len()
            + self.renames.len()
            + self.legs.len()
            + self.trails.len()
            + self.log.iter().map(|chunk| 1 + chunk.rows.len()).sum::<usize>()
    }
}

fn is_name(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_NAME
}

fn is_key(key: &EndpointKey) -> bool {
    let texts = [&*key.path, key.method.as_str(), key.operation.as_str()];
    is_name(&key.service) && texts.iter().all(|text| text.len() <= MAX_NAME)
}

/// Parts that its scope leaves out are empty.
fn is_trail(key: &TrailKey) -> bool {
    let endpoint = &key.endpoint;
    let texts = [&*endpoint.service, &*endpoint.path, &*key.caller, &*endpoint.method, &*endpoint.operation];
    texts.iter().all(|text| text.len() <= MAX_NAME)
}

fn is_short(workload: &Workload) -> bool {
    let Workload { name, exe, command, user, unit, container, runtime, pod_uid, address, owner, .. } =
        workload;
    let texts = [name, exe, command, user, unit, container, runtime, pod_uid, address, owner];
    texts.iter().all(|text| text.len() <= MAX_TEXT)
}

/// Everything that the row points at is there.
fn is_whole(chunk: &CallChunk, row: &CallRow) -> bool {
    let workloads = chunk.workloads.len() as u64;
    let end = row.path_start as usize + usize::from(row.path_len);
    u64::from(row.src) < workloads
        && u64::from(row.dst) < workloads
        && (row.endpoint as usize) < chunk.endpoints.len()
        && chunk.text.get(row.path_start as usize..end).is_some()
        && row.detail as usize <= chunk.details.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Id;
    use crate::fixture;

    #[test]
    fn what_we_observed_is_believed() {
        let mut delta = fixture::delta();
        let before = delta.clone();
        assert_eq!(delta.distrust(), 0);
        assert_eq!(delta, before);
    }

    #[test]
    fn rows_that_point_nowhere_and_endless_names_are_dropped_and_counted() {
        let mut delta = fixture::delta();
        let chunk = Arc::make_mut(&mut delta.log[0]);
        chunk.rows[0].src = u32::MAX;
        chunk.rows[1].path_start = u32::MAX;
        delta.edges[0].0.src = Id::from("x".repeat(MAX_NAME + 1));
        delta.endpoints[0].0.path = "/".repeat(MAX_NAME + 1).into();
        assert_eq!(delta.distrust(), 4);
    }
}
