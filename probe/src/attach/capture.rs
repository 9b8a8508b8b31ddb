//! Payload: `cgroup_skb` at the root of the cgroup2 hierarchy, both directions.

use super::{Hook, HookError, Place, once};
use aya::Ebpf;
use aya::programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType};

/// See the module.
pub const HOOK: Hook = Hook {
    name: "capture",
    purpose: "reads the payload of TCP sockets (cgroup_skb, both directions)",
    without: "no call can be seen",
    required: true,
    attach,
};

const PROGRAMS: [(&str, CgroupSkbAttachType); 2] =
    [("apisec_ingress", CgroupSkbAttachType::Ingress), ("apisec_egress", CgroupSkbAttachType::Egress)];

/// Both are loaded before one is attached: half a conversation is worse than none.
fn attach(ebpf: &mut Ebpf, place: &Place) -> Result<(), HookError> {
    load(ebpf)?;
    for (name, direction) in PROGRAMS {
        program(ebpf, name)?.attach(&place.cgroup, direction, CgroupAttachMode::Single)?;
    }
    Ok(())
}

/// Loads them without attaching them.
pub(super) fn load(ebpf: &mut Ebpf) -> Result<(), HookError> {
    for (name, _) in PROGRAMS {
        once(program(ebpf, name)?.load())?;
    }
    Ok(())
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut CgroupSkb, HookError> {
    Ok(ebpf.program_mut(name).ok_or(HookError::Missing(name))?.try_into()?)
}
