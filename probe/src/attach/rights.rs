//! The capabilities without which nothing, or nothing inside TLS, can be attached. No hook.

use caps::{CapSet, Capability};

const NEEDED: [Capability; 3] = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];

/// Whether the kernel lets this process put probes into files: it asks for more than for any other hook.
#[must_use]
pub fn may_probe() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).unwrap_or(false)
}

/// Names of those that this process does not hold.
#[must_use]
pub fn lacking() -> Vec<String> {
    let held = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    // CAP_SYS_ADMIN includes the other two on older kernels.
    let included = |capability| capability != Capability::CAP_NET_ADMIN && held(Capability::CAP_SYS_ADMIN);
    let missing = NEEDED.into_iter().filter(|capability| !held(*capability) && !included(*capability));
    missing.map(|capability| capability.to_string()).collect()
}
