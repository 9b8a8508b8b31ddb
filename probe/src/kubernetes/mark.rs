//! What everything that we make in a cluster bears, so that it is found again by whoever looks.

/// Label by which everything of ours is found, also by later runs.
pub const OURS: (&str, &str) = ("app.kubernetes.io/managed-by", "kubectl-apisec");
/// Label that tells one run from others.
pub const RUN: &str = "apisec-top/run";
/// Label of a job and its pod.
pub const POST: &str = "apisec-top/post";
/// Annotation: the node.
pub const NODE: &str = "apisec-top/node";
/// Annotation: who started it, for whoever finds it.
pub const BY: &str = "apisec-top/by";
/// Label of a ConfigMap that holds specifications: theirs, not ours.
pub const SPEC: &str = "apisec-top/spec";
/// Labels of pods that say who looks after them, best first: ours, what many use, and what Kubernetes recommends.
pub const OWNERS: [&str; 4] = ["apisec-top/owner", "owner", "team", "app.kubernetes.io/part-of"];
/// Annotation of such a ConfigMap: the workload of its namespace that they describe.
pub const DESCRIBES: &str = "apisec-top/describes";
