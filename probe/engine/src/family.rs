//! What kind of caller somebody is, whichever replica and whichever address.

use crate::baseline::OUTSIDE;
use crate::endpoint::is_external;

/// What replicas of one workload have in common: the id without port, number and random suffix.
#[must_use]
pub fn family(id: &str) -> &str {
    let id = id
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(id, |(id, _)| id);
    let random =
        |part: &str| (4..=10).contains(&part.len()) && part.bytes().any(|byte| byte.is_ascii_digit());
    let id = id.rsplit_once('-').filter(|(_, suffix)| random(suffix)).map_or(id, |(id, _)| id);
    id.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['-', '_'])
}

/// Its family; [`OUTSIDE`] of those whose addresses come and go.
#[must_use]
pub fn kind_of_caller(id: &str) -> &str {
    if is_external(id) { OUTSIDE } else { family(id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_of_one_family() {
        assert_eq!(family("pod:shop/web-7d9f8b6c5-x2k4q"), family("pod:shop/web-7d9f8b6c5-9z1ab"));
        assert_eq!(family("process:orders:81"), "process:orders");
        assert_eq!(kind_of_caller("external:192.0.2.7"), OUTSIDE);
    }
}
