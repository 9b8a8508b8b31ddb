//! What the contract names and this build has none of; said, not invented.

/// Detectors.
pub(super) fn detectors(out: &mut Vec<u8>) {
    out.extend_from_slice(b"# none in this build: it observes and does not judge yet\n");
}

/// Kubernetes rights, as a YAML document that changes nothing when applied.
pub(super) fn rbac(out: &mut Vec<u8>) {
    out.extend_from_slice(b"# none in this build: it looks at one node and never talks to a cluster\n");
}
