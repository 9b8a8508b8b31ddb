//! What a path says about the operation behind it. Looked at once per operation, not per call.

use crate::flow;

/// Words of paths that only administrators need.
const ADMIN: [&str; 12] = [
    "admin",
    "administrator",
    "administration",
    "manage",
    "management",
    "backoffice",
    "superuser",
    "root",
    "console",
    "actuator",
    "debug",
    "internal",
];
/// Words of paths by which one gets in.
const LOGIN: [&str; 10] =
    ["login", "signin", "sign-in", "logon", "auth", "oauth", "token", "session", "sessions", "oauth2"];
/// Words of paths that machines look at to see whether a service is well.
const HEALTH: [&str; 10] =
    ["health", "healthz", "healthcheck", "ready", "readyz", "live", "livez", "ping", "metrics", "status"];

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Only administrators need it.
    pub is_admin: bool,
    /// One gets in by it.
    pub is_login: bool,
    /// It says whether the service is well.
    pub is_health: bool,
    /// It is a step of a flow that is made for people.
    pub is_flow: bool,
}

impl Place {
    /// What the path, typed or not, says.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let mut place = Self { is_flow: flow::kind(path).is_some(), ..Self::default() };
        for segment in path.split('/') {
            let is = |words: &[&str]| words.iter().any(|word| segment.eq_ignore_ascii_case(word));
            place.is_admin |= is(&ADMIN);
            place.is_login |= is(&LOGIN);
            place.is_health |= is(&HEALTH);
        }
        place.is_admin &= !place.is_health;
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_segments() {
        assert!(Place::of("/api/Admin/users").is_admin && !Place::of("/api/administer").is_admin);
        assert!(Place::of("/actuator/health").is_health && !Place::of("/actuator/health").is_admin);
        assert!(Place::of("/oauth/token").is_login && !Place::of("/tokens-of-love").is_login);
    }
}
