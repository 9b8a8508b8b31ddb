//! Payload: `cgroup_skb` at the root of the cgroup2 hierarchy, both directions.

use super::{Hook, HookError, Place};
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

fn attach(ebpf: &mut Ebpf, place: &Place) -> Result<(), HookError> {
    one(ebpf, place, "apisec_ingress", CgroupSkbAttachType::Ingress)?;
    one(ebpf, place, "apisec_egress", CgroupSkbAttachType::Egress)
}

fn one(
    ebpf: &mut Ebpf,
    place: &Place,
    name: &'static str,
    direction: CgroupSkbAttachType,
) -> Result<(), HookError> {
    let program: &mut CgroupSkb = ebpf.program_mut(name).ok_or(HookError::Missing(name))?.try_into()?;
    program.load()?;
    program.attach(&place.cgroup, direction, CgroupAttachMode::Single)?;
    Ok(())
}
