//! The part of a delta that follows the rate: log rows, and legs for the search for hops. Both bounded.

use super::*;
use crate::graph::hop::{Leg, path_prints};
use compact_str::CompactString;

/// Hosts by which one operation is told apart in one chunk's endpoint table.
const HOSTS: usize = 8;
/// Sampled calls of one chunk whose fields are kept; a page of the inspector. More would crowd out the rows.
const DETAILS: usize = 64;
/// Legs of a delta that are carried without asking whether a proxy may be involved: while calls are few,
/// the two legs may be seen by different observers.
const FREE_LEGS: usize = 512;

pub(super) struct Journal {
    limits: Limits,
    /// Rows that a delta may have: 0 while calls are only counted.
    room: usize,
    chunk: CallChunk,
    legs: Vec<Leg>,
    unfollowed: u64,
    /// Rows of the last chunk.
    rows_expected: usize,
    /// Index of each slot in the chunk's workload table, plus one.
    named: Vec<u32>,
}

impl Journal {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            room: limits.rows_per_delta,
            chunk: CallChunk::default(),
            legs: Vec::new(),
            unfollowed: 0,
            rows_expected: 0,
            named: Vec::new(),
        }
    }

    /// Whether rows are kept; those that are not are counted as dropped.
    pub(super) fn keep(&mut self, rows: bool) {
        self.room = if rows { self.limits.rows_per_delta } else { 0 };
    }

    /// Adds the call's row.
    pub(super) fn log(
        &mut self,
        call: &Call,
        (src, dst): (Slot, Slot),
        (key, operation): (&OperationKey, &mut Operation),
    ) {
        if self.chunk.rows.len() >= self.room {
            self.chunk.dropped += 1;
            return;
        }
        let (path_start, path_len) = self.path(call, operation);
        if self.chunk.rows.is_empty() {
            self.chunk.rows.reserve(self.rows_expected);
        }
        let row = CallRow {
            at: call.at,
            duration: call.duration,
            ttfb: call.ttfb.unwrap_or(u64::MAX),
            // Slots for now; `take` puts the table's indexes in.
            src: src.0,
            dst: dst.0,
            endpoint: self.endpoint(call, key, operation),
            path_start,
            path_len,
            status: call.status.unwrap_or(0),
            request_bytes: u32::try_from(call.request_bytes).unwrap_or(u32::MAX),
            response_bytes: u32::try_from(call.response_bytes).unwrap_or(u32::MAX),
            notes: call.notes,
            vantage: call.vantage,
            auth: call.auth,
            identity: call.identity,
            app_status: call.app_status,
            failed: call.failed,
            detail: self.detail(call),
        };
        self.chunk.rows.push(row);
    }

    /// Adds the call's leg when it may be part of a hop.
    pub(super) fn leg(&mut self, call: &Call, (src, dst): (Slot, Slot), proxy: bool) {
        let room = if proxy { self.limits.legs_per_delta } else { FREE_LEGS };
        if self.legs.len() >= room.min(self.limits.legs_per_delta) {
            self.unfollowed += u64::from(proxy);
            return;
        }
        self.legs.push(Leg {
            start: call.at,
            end: call.at.saturating_add(call.duration),
            src: src.0,
            dst: dst.0,
            trace: call.trace.unwrap_or(0),
            path: path_prints(&call.method, &call.path),
            vantage: call.vantage,
        });
    }

    /// The chunk and the legs since the last time.
    pub(super) fn take(&mut self, parties: &Parties) -> (Option<Arc<CallChunk>>, Option<Arc<Legs>>) {
        let mut chunk = std::mem::take(&mut self.chunk);
        for row in &mut chunk.rows {
            row.src = self.name(Slot(row.src), parties, &mut chunk.workloads);
            row.dst = self.name(Slot(row.dst), parties, &mut chunk.workloads);
        }
        sort_nearly_sorted(&mut chunk.rows);
        self.rows_expected = chunk.rows.len();
        chunk.rows.shrink_to_fit();
        self.named.clear();
        let mut legs = Legs { names: Vec::new(), legs: std::mem::take(&mut self.legs) };
        for leg in &mut legs.legs {
            leg.src = self.name(Slot(leg.src), parties, &mut legs.names);
            leg.dst = self.name(Slot(leg.dst), parties, &mut legs.names);
        }
        self.named.clear();
        let empty = chunk.rows.is_empty() && chunk.dropped == 0;
        ((!empty).then(|| Arc::new(chunk)), (!legs.legs.is_empty()).then(|| Arc::new(legs)))
    }

    /// Legs since the last time that did not fit.
    pub(super) fn take_unfollowed(&mut self) -> u64 {
        std::mem::take(&mut self.unfollowed)
    }

    fn name<T: for<'a> From<&'a str>>(&mut self, slot: Slot, parties: &Parties, table: &mut Vec<T>) -> u32 {
        let at = slot.0 as usize;
        if self.named.len() <= at {
            self.named.resize(at + 1, 0);
        }
        let Some(number) = self.named.get_mut(at) else { return 0 };
        if *number == 0 {
            table.push(T::from(parties.id(slot)));
            *number = table.len() as u32;
        }
        *number - 1
    }

    /// Where the path stands in the text; the same path twice in a row is kept once.
    fn path(&mut self, call: &Call, operation: &mut Operation) -> (u32, u16) {
        let (start, len) = operation.last_path;
        let last = self.chunk.text.get(start as usize..start as usize + usize::from(len));
        if last != Some(call.path.as_str()) {
            let len = call.path.floor_char_boundary(usize::from(u16::MAX));
            operation.last_path = (self.chunk.text.len() as u32, len as u16);
            self.chunk.text.push_str(call.path.get(..len).unwrap_or_default());
        }
        operation.last_path
    }

    /// The index of operation and host in the endpoint table.
    fn endpoint(&mut self, call: &Call, key: &OperationKey, operation: &mut Operation) -> u32 {
        let known = |number: &&u32| {
            self.chunk
                .endpoints
                .get(**number as usize)
                .is_some_and(|logged| logged.host == call.host && logged.method == call.method)
        };
        if let Some(number) = operation.logged.iter().find(known) {
            return *number;
        }
        if operation.logged.len() >= HOSTS {
            return operation.logged.last().copied().unwrap_or(0);
        }
        let number = self.chunk.endpoints.len() as u32;
        let full = operation.logged.len() + 1 == HOSTS;
        self.chunk.endpoints.push(LoggedEndpoint {
            service: CompactString::from(call.dst.workload.id.as_str()),
            protocol: call.protocol,
            method: call.method.clone(),
            operation: if full { key.operation.clone() } else { call.operation.clone() },
            path: CompactString::from(&*key.path),
            host: if full { CompactString::default() } else { call.host.clone() },
        });
        operation.logged.push(number);
        number
    }

    fn detail(&mut self, call: &Call) -> u32 {
        let Some(detail) = call.detail.as_ref().filter(|_| self.chunk.details.len() < DETAILS) else {
            return 0;
        };
        self.chunk.details.push((**detail).clone());
        self.chunk.bodies.push(call.bodies.as_deref().cloned().unwrap_or_default());
        self.chunk.details.len() as u32
    }
}

/// Sorts by time. Calls come in order of their end, so most rows are a few places off; a sort that starts from
/// there is several times faster. When it turns out otherwise, the ordinary sort takes over.
fn sort_nearly_sorted(rows: &mut [CallRow]) {
    let mut moves_left = rows.len() * 16;
    let mut newest = 0;
    for at in 0..rows.len() {
        let Some((before, [row, ..])) = rows.split_at_mut_checked(at) else { return };
        if row.at >= newest {
            newest = row.at;
            continue;
        }
        let place = before.partition_point(|earlier| earlier.at <= row.at);
        let Some(left) = moves_left.checked_sub(at - place) else {
            rows.sort_by_key(|row| row.at);
            return;
        };
        moves_left = left;
        if let Some(run) = rows.get_mut(place..=at) {
            run.rotate_right(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CallSpec, call};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_out_in_order_of_time(starts in proptest::collection::vec(0_u64..1_000, 0..300), late in any::<bool>()) {
            let starts: Vec<u64> =
                starts.iter().enumerate().map(|(n, start)| if late { start % 9 + n as u64 } else { *start }).collect();
            let mut observer = Observer::new(Limits::default());
            starts.iter().for_each(|at| observer.observe(&call(&CallSpec { at: *at, ..CallSpec::default() })));
            let delta = observer.take_delta(0, 1_000);
            let rows: Vec<u64> = delta.log.iter().flat_map(|chunk| chunk.rows.iter().map(|row| row.at)).collect();
            let mut sorted = starts.clone();
            sorted.sort_unstable();
            prop_assert_eq!(rows, sorted);
        }
    }
}
