//! Paths that were seen a moment ago, as called: most calls repeat one, and need not be typed and looked up.

use super::*;
use compact_str::CompactString;

/// Remembered paths; 50 KiB, which stays in the cache of the processor.
const ENTRIES: usize = 256;

/// A direct-mapped cache from the path as called to its operation.
#[derive(Default)]
pub(super) struct SeenPaths(Vec<Option<Entry>>);

struct Entry {
    dst: Slot,
    protocol: Protocol,
    vantage: Vantage,
    number: u32,
    method: CompactString,
    operation: CompactString,
    path: String,
    typed: String,
    values: Values,
}

impl SeenPaths {
    /// The number of the call's operation; fills `typed` and `values` when it is known.
    pub(super) fn look_up(
        &self,
        call: &Call,
        dst: Slot,
        typed: &mut String,
        values: &mut Values,
    ) -> Option<u32> {
        let entry = self.0.get(place(call, dst)).and_then(Option::as_ref)?;
        let same = entry.path == call.path.as_str()
            && entry.method == call.method
            && entry.operation == call.operation
            && (entry.dst, entry.protocol, entry.vantage) == (dst, call.protocol, call.vantage);
        if !same {
            return None;
        }
        typed.clone_from(&entry.typed);
        values.clear();
        values.extend_from_slice(&entry.values);
        Some(entry.number)
    }

    /// Puts the call's operation in the place of whatever was there, reusing its memory.
    pub(super) fn remember(&mut self, call: &Call, dst: Slot, typed: &str, values: &[u64], number: u32) {
        if self.0.is_empty() {
            self.0.resize_with(ENTRIES, || None);
        }
        let Some(place) = self.0.get_mut(place(call, dst)) else { return };
        let entry = place.get_or_insert_with(|| Entry::of(call, dst));
        (entry.dst, entry.protocol, entry.vantage, entry.number) = (dst, call.protocol, call.vantage, number);
        entry.method.clone_from(&call.method);
        entry.operation.clone_from(&call.operation);
        entry.path.clear();
        entry.path.push_str(&call.path);
        entry.typed.clear();
        entry.typed.push_str(typed);
        entry.values.clear();
        entry.values.extend_from_slice(values);
    }
}

impl Entry {
    fn of(call: &Call, dst: Slot) -> Self {
        Self {
            dst,
            protocol: call.protocol,
            vantage: call.vantage,
            number: 0,
            method: CompactString::default(),
            operation: CompactString::default(),
            path: String::new(),
            typed: String::new(),
            values: Values::new(),
        }
    }
}

fn place(call: &Call, dst: Slot) -> usize {
    let operation = if call.operation.is_empty() { 0 } else { fingerprint::of(call.operation.as_bytes()) };
    ((fingerprint::of(call.path.as_bytes()) ^ operation) as usize ^ dst.0 as usize) % ENTRIES
}
