//! What the operator has looked at once and does not want to be told of again: a reviewed list, each entry with its reason
//! and, better, with an end.

use crate::finding::Finding;

/// One entry. What it leaves empty it does not ask for; a `*` at the end of a text stands for any rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suppression {
    /// Detector, by its id.
    pub detector: String,
    /// Called workload.
    pub service: String,
    /// Method.
    pub method: String,
    /// Path template.
    pub path: String,
    /// Calling workload.
    pub actor: String,
    /// Identity, as findings show it: `jwt 3fa9c1d2`.
    pub identity: String,
    /// Why.
    pub reason: String,
    /// When it ends, Unix nanoseconds; 0 without an end.
    pub until: u64,
}

impl Suppression {
    /// Whether it is meant, at this time (Unix nanoseconds).
    #[must_use]
    pub fn covers(&self, finding: &Finding, now: u64) -> bool {
        let asked = [
            (&self.detector, &finding.detector),
            (&self.service, &finding.service),
            (&self.method, &finding.method),
            (&self.path, &finding.path),
            (&self.actor, &finding.actor),
            (&self.identity, &finding.identity),
        ];
        (self.until == 0 || now < self.until) && asked.iter().all(|(wanted, is)| fits(wanted, is))
    }
}

fn fits(wanted: &str, is: &str) -> bool {
    wanted.is_empty() || wanted.strip_suffix('*').map_or(wanted == is, |begins| is.starts_with(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_it_names_must_fit() {
        let finding = Finding {
            detector: "misconfiguration".into(),
            service: "process:nginx:80".into(),
            path: "/api/users".into(),
            ..Finding::default()
        };
        let mut entry = Suppression { detector: "misconfiguration".into(), ..Suppression::default() };
        assert!(entry.covers(&finding, 5));
        entry.path = "/api/*".into();
        assert!(entry.covers(&finding, 5));
        entry.service = "process:nginx".into();
        assert!(!entry.covers(&finding, 5));
        entry.service.push('*');
        entry.until = 5;
        assert!(entry.covers(&finding, 4) && !entry.covers(&finding, 5));
    }
}
