//! The node's own key of an operation: like [`EndpointKey`], but with a small number for the callee.

use super::*;
use crate::trail::Place;
use compact_str::CompactString;
use indexmap::Equivalent;
use std::hash::{Hash, Hasher};

pub(super) struct OperationKey {
    pub(super) dst: Slot,
    pub(super) protocol: Protocol,
    pub(super) vantage: Vantage,
    pub(super) method: CompactString,
    pub(super) operation: CompactString,
    pub(super) path: Arc<str>,
}

/// The same, borrowed: looking up allocates nothing.
#[derive(PartialEq, Eq)]
pub(super) struct OperationRef<'a> {
    pub(super) dst: Slot,
    pub(super) protocol: Protocol,
    pub(super) vantage: Vantage,
    pub(super) method: &'a str,
    pub(super) operation: &'a str,
    pub(super) path: &'a str,
}

/// The number of `wanted` in the table; a new one when it is not there.
pub(super) fn number_of(table: &mut IndexMap<OperationKey, Operation>, wanted: &OperationRef<'_>) -> u32 {
    let number = match table.get_index_of(wanted) {
        Some(number) => number,
        None => {
            let operation = Operation { place: Place::of(wanted.path), ..Operation::default() };
            table.insert_full(wanted.to_key(), operation).0
        }
    };
    number as u32
}

/// Statistics of an operation in this delta, and where the log names it.
#[derive(Default)]
pub(super) struct Operation {
    pub(super) stats: EndpointStats,
    /// Indexes of its entries in the chunk's endpoint table, one per host.
    pub(super) logged: SmallVec<[u32; 1]>,
    /// Where its last path stands in the chunk's text.
    pub(super) last_path: (u32, u16),
    /// What its path says.
    pub(super) place: Place,
}

impl Operation {
    pub(super) fn forget_log(&mut self) {
        self.logged.clear();
        self.last_path = (0, 0);
    }
}

impl OperationKey {
    fn borrow(&self) -> OperationRef<'_> {
        OperationRef {
            dst: self.dst,
            protocol: self.protocol,
            vantage: self.vantage,
            method: &self.method,
            operation: &self.operation,
            path: &self.path,
        }
    }

    pub(super) fn to_endpoint(&self, service: &Id) -> EndpointKey {
        EndpointKey {
            service: service.clone(),
            path: self.path.clone(),
            method: self.method.clone(),
            operation: self.operation.clone(),
            protocol: self.protocol,
            vantage: self.vantage,
        }
    }
}

impl OperationRef<'_> {
    pub(super) fn to_key(&self) -> OperationKey {
        OperationKey {
            dst: self.dst,
            protocol: self.protocol,
            vantage: self.vantage,
            method: self.method.into(),
            operation: self.operation.into(),
            path: self.path.into(),
        }
    }
}

impl PartialEq for OperationKey {
    fn eq(&self, other: &Self) -> bool {
        self.borrow() == other.borrow()
    }
}

impl Eq for OperationKey {}

impl Hash for OperationKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrow().hash(state);
    }
}

impl Hash for OperationRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let numbers = u64::from(self.dst.0) << 16 | (self.protocol as u64) << 8 | self.vantage as u64;
        state.write_u64(numbers);
        state.write(self.method.as_bytes());
        state.write(self.operation.as_bytes());
        state.write(self.path.as_bytes());
    }
}

impl Equivalent<OperationKey> for OperationRef<'_> {
    fn equivalent(&self, key: &OperationKey) -> bool {
        *self == key.borrow()
    }
}
