//! A workload that is cut off: two rules, one for what it connects to, one for what connects to it. What stays
//! possible is excepted in the kernel, by target and by caller.

use super::connect::{key, octets, who};
use super::kernel::Kernel;
use crate::enforce::EnforceError;
use crate::enforce::rule::{Quarantine, Target};
use apisec_abi::enforce::{AllowedKey, WHO_ANY, WHO_ANY_BUT};

/// Writes both; how many entries they have.
pub(super) fn write(kernel: &mut Kernel, policy: u32, rule: &Quarantine) -> Result<usize, EnforceError> {
    if rule.inside.is_empty() && rule.listens.is_empty() {
        return Err(EnforceError::Unable(
            "a workload without processes and addresses cannot be cut off".into(),
        ));
    }
    let anywhere = Target { addr: None, port: None, netns: 0 };
    let mut entries = 0;
    if !rule.inside.is_empty() {
        let inside = rule.inside.iter().map(who).collect::<Result<Vec<_>, _>>()?;
        let keys: Vec<_> = inside.into_iter().map(|(who, from)| key(&anywhere, who, from)).collect();
        let slot = kernel.slot(policy)?;
        kernel.except(slot, &rule.reach.iter().map(reached).collect::<Vec<_>>())?;
        kernel.connect(slot, &keys)?;
        entries += keys.len() + rule.reach.len();
    }
    if !rule.listens.is_empty() {
        let keys: Vec<_> = rule.listens.iter().map(|target| key(target, WHO_ANY_BUT, 0)).collect();
        let admitted = rule.admit.iter().map(who).collect::<Result<Vec<_>, _>>()?;
        let admitted: Vec<_> = admitted
            .into_iter()
            .map(|(who, from)| AllowedKey { who, from, ..AllowedKey::default() })
            .collect();
        let slot = kernel.slot(policy)?;
        kernel.except(slot, &admitted)?;
        kernel.connect(slot, &keys)?;
        entries += keys.len() + admitted.len();
    }
    Ok(entries)
}

fn reached(target: &Target) -> AllowedKey {
    AllowedKey {
        addr: target.addr.map_or([0; 16], octets),
        port: target.port.unwrap_or_default(),
        who: WHO_ANY,
        ..AllowedKey::default()
    }
}
