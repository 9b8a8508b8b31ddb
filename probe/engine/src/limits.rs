//! Every bound of the engine, in one place, each with its reason.
//!
//! What does not fit is counted in a row named [`OVERFLOW`], never dropped from the totals, and a
//! [`Degradation`](crate::degradation::Degradation) says so.

/// Name of the row (workload, endpoint path) that takes what no longer fits a bound.
pub const OVERFLOW: &str = "{overflow}";
/// Path of the row that takes calls which the router of a service refused (404, 405, 501) under many names.
pub const UNROUTED: &str = "{unrouted}";
/// Method of the two rows above: they add up all methods.
pub const ANY_METHOD: &str = "*";

/// Bounds and thresholds. The defaults keep a full engine below about 150 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Workloads of the knowledge: four times the 2,000 that a large node or a small cluster has.
    pub workloads: usize,
    /// External peers among them: a scan from many addresses must not take the place of our own workloads.
    pub externals: usize,
    /// Edges: sixteen per workload at the 2,000 that we are built for.
    pub edges: usize,
    /// Endpoints of all services, before templates fold them: the 10,000 we are built for, and half as much again.
    pub endpoints: usize,
    /// Endpoints of one service: one noisy service must leave room for the others.
    pub endpoints_per_service: usize,
    /// Endpoints that one node may name in one delta: bounds a delta at about 4 MiB.
    pub endpoints_per_delta: usize,
    /// Router refusals under names never answered otherwise, per service and delta: a scanner's harvest of
    /// one second that is worth naming.
    pub unrouted_per_delta: usize,
    /// Caller and endpoint pairs that one node may count in one delta.
    pub pairs_per_delta: usize,
    /// Log rows of one delta: at about 100 bytes each, 5 MiB.
    pub rows_per_delta: usize,
    /// Log rows in all.
    pub log_rows: usize,
    /// Age at which a row leaves the log, nanoseconds.
    pub log_age: u64,
    /// Legs of possibly proxied calls in one delta (48 bytes each).
    pub legs_per_delta: usize,
    /// Legs that wait for their counterpart in the knowledge.
    pub legs: usize,
    /// Chains that are told apart.
    pub chains: usize,
    /// Trails that one node may name in one delta: as many actors as are worth telling apart in one second.
    pub trails_per_delta: usize,
    /// Trails of actors in the knowledge; about 1 KiB each, a hot one 3 KiB. Beyond, those who have most lose most.
    pub trails: usize,
    /// Trails that are sums, likewise: of endpoints, and half as many of edges and workloads.
    pub sums: usize,
    /// Findings that are kept; more would not be read.
    pub findings: usize,
    /// Siblings after which free-text segments fold into one parameter (K).
    pub siblings: usize,
}

impl Limits {
    /// Bounds for so many endpoints, workloads and listed calls; the others follow in the proportion that the defaults have.
    #[must_use]
    pub fn sized(endpoints: usize, workloads: usize, calls: usize) -> Self {
        let usual = Self::default();
        Self {
            workloads,
            externals: workloads / 2,
            edges: workloads.saturating_mul(usual.edges / usual.workloads),
            endpoints,
            endpoints_per_service: endpoints - endpoints / 4,
            endpoints_per_delta: endpoints,
            rows_per_delta: usual.rows_per_delta.min(calls),
            log_rows: calls,
            ..usual
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workloads: 8_192,
            externals: 4_096,
            edges: 32_768,
            endpoints: 16_384,
            endpoints_per_service: 12_288,
            endpoints_per_delta: 16_384,
            unrouted_per_delta: 256,
            pairs_per_delta: 65_536,
            rows_per_delta: 50_000,
            log_rows: 100_000,
            log_age: 15 * 60 * 1_000_000_000,
            legs_per_delta: 16_384,
            legs: 65_536,
            chains: 1_024,
            trails_per_delta: 8_192,
            trails: 16_384,
            sums: 24_576,
            findings: 1_024,
            siblings: 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_size_is_the_default() {
        let Limits { endpoints, workloads, log_rows, .. } = Limits::default();
        assert_eq!(Limits::sized(endpoints, workloads, log_rows), Limits::default());
        let small = Limits::sized(100, 16, 1_000);
        assert!(
            small.endpoints_per_service < 100
                && small.externals < 16
                && small.rows_per_delta <= small.log_rows
        );
    }
}
