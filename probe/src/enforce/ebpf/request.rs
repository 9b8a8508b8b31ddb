//! Rules about requests as entries of the maps: which services they are about, which paths, who asks.

use super::connect::octets;
use crate::enforce::EnforceError;
use crate::enforce::rule::{Caller, Case, Part, Pattern, Per, Rate, Request, Target};
use apisec_abi::enforce::{
    CallerKey, HASH_START, PARTS, PER_CALLER, PER_CREDENTIAL, PER_RULE, PathShape, REQUEST_CALLERS,
    REQUEST_CLOSED, REQUEST_HEAD, RequestRule, ServiceKey, WHO_ADDRESS, WHO_CGROUP, WHO_PROCESS, hash_byte,
    hash_segment,
};

/// Callers of one rule.
const MAX_CALLERS: usize = 16_384;

/// A rule in the terms of the maps.
pub(super) struct Entries {
    pub(super) services: Vec<ServiceKey>,
    pub(super) shape: PathShape,
    /// Hash of the literal segments.
    pub(super) hash: u64,
    pub(super) rule: RequestRule,
    pub(super) callers: Vec<CallerKey>,
}

/// The entries of a rule that refuses.
pub(super) fn entries(request: &Request) -> Result<Entries, EnforceError> {
    let services = request.service.iter().map(service).collect::<Result<Vec<_>, _>>()?;
    if services.is_empty() {
        return Err(EnforceError::Unable(
            "a rule about requests needs the addresses that the service listens on".into(),
        ));
    }
    if request.from.len() > MAX_CALLERS {
        return Err(EnforceError::TooMuch(format!(
            "{} callers are more than {MAX_CALLERS}",
            request.from.len()
        )));
    }
    let folded = request.case == Case::Insensitive;
    let (shape, hash) = pattern(&request.path, folded)?;
    let method = request.method.as_deref();
    let mut flags = if method == Some("GET") { REQUEST_HEAD } else { 0 };
    flags |= if request.from.is_empty() { 0 } else { REQUEST_CALLERS };
    flags |= if request.fail_closed { REQUEST_CLOSED } else { 0 };
    let rule = RequestRule {
        method: method.map_or(0, |method| hash_of(method.to_ascii_uppercase().as_bytes())),
        flags,
        ..RequestRule::default()
    };
    Ok(Entries { services, shape, hash, rule, callers: request.from.iter().map(caller).collect() })
}

/// The entries of a rule that limits.
pub(super) fn limited(rate: &Rate) -> Result<Entries, EnforceError> {
    if rate.per_second == 0 {
        return Err(EnforceError::Unable("a rate of nothing a second is a block: say so".into()));
    }
    let mut entries = entries(&rate.request)?;
    entries.rule.per_second = rate.per_second;
    entries.rule.burst = rate.burst.max(1);
    entries.rule.per = match rate.per {
        Per::Rule => PER_RULE,
        Per::Caller => PER_CALLER,
        Per::Credential => PER_CREDENTIAL,
    };
    Ok(entries)
}

fn service(target: &Target) -> Result<ServiceKey, EnforceError> {
    let Some(port) = target.port else {
        return Err(EnforceError::Unable("a service has a port".into()));
    };
    let addr = target.addr.filter(|addr| !addr.is_unspecified()).map_or([0; 16], octets);
    Ok(ServiceKey { addr, netns: target.netns, port, pad: [0; 6] })
}

fn pattern(pattern: &Pattern, folded: bool) -> Result<(PathShape, u64), EnforceError> {
    let rest = pattern.segments.last() == Some(&Part::Rest);
    let parts = pattern.segments.len() - usize::from(rest);
    if parts > PARTS {
        return Err(EnforceError::TooMuch(format!("a path of {parts} segments; {PARTS} are compared")));
    }
    let (mut literals, mut hash) = (0, HASH_START);
    for (at, part) in pattern.segments.iter().enumerate() {
        if let Part::Literal(bytes) = part {
            let bytes = if folded { bytes.to_ascii_lowercase() } else { bytes.clone() };
            literals |= 1 << at;
            hash = hash_segment(hash, hash_of(&bytes));
        }
    }
    let shape =
        PathShape { literals, parts: parts as u8, rest: u8::from(rest), folded: u8::from(folded), used: 1 };
    Ok((shape, hash))
}

fn hash_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(HASH_START, |hash, byte| hash_byte(hash, *byte))
}

/// The key of a caller; its slot is filled in later.
fn caller(caller: &Caller) -> CallerKey {
    let empty = CallerKey::default();
    match caller {
        Caller::Cgroup(id) => CallerKey { from: *id, who: WHO_CGROUP, ..empty },
        Caller::Process(pid) => CallerKey { from: u64::from(*pid), who: WHO_PROCESS, ..empty },
        Caller::Address(addr) => CallerKey { addr: octets(*addr), who: WHO_ADDRESS, ..empty },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> Request {
        Request {
            service: vec![Target::new("127.0.0.1".parse().unwrap(), 80)],
            method: Some("GET".into()),
            path: Pattern::parse(path).unwrap(),
            case: Case::Insensitive,
            from: vec![],
            fail_closed: false,
        }
    }

    #[test]
    fn a_pattern_is_its_shape_and_a_hash_of_what_is_literal() {
        let one = entries(&request("/Api/{x}/items")).unwrap();
        let other = entries(&request("/api/{anything}/ITEMS/")).unwrap();
        assert_eq!((one.shape, one.hash), (other.shape, other.hash));
        assert_eq!((one.shape.literals, one.shape.parts, one.shape.rest), (0b101, 3, 0));
        let rest = entries(&request("/api/{x*}")).unwrap();
        assert_eq!((rest.shape.literals, rest.shape.parts, rest.shape.rest), (1, 1, 1));
        assert_ne!(rest.hash, one.hash);
        assert_eq!(one.rule.flags, REQUEST_HEAD);
        assert!(entries(&request(&"/a".repeat(17))).is_err());
    }
}
