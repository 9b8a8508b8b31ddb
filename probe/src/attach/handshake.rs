//! Which end of a new connection a socket is, and whether its peer is on this node: `sockops`.

use super::{Hook, HookError, Place, once};
use aya::Ebpf;
use aya::programs::{CgroupAttachMode, SockOps};

const NAME: &str = "apisec_handshake";

/// See the module.
pub const HOOK: Hook = Hook {
    name: "handshake",
    purpose: "tells client from server and joins the two ends of a local connection (sockops)",
    without: "local connections are read at both ends and joined later, at twice the cost",
    required: false,
    attach,
};

fn attach(ebpf: &mut Ebpf, place: &Place) -> Result<(), HookError> {
    load(ebpf)?;
    program(ebpf)?.attach(&place.cgroup, CgroupAttachMode::Single)?;
    Ok(())
}

/// Loads it without attaching it.
pub(super) fn load(ebpf: &mut Ebpf) -> Result<(), HookError> {
    once(program(ebpf)?.load())
}

fn program(ebpf: &mut Ebpf) -> Result<&mut SockOps, HookError> {
    Ok(ebpf.program_mut(NAME).ok_or(HookError::Missing(NAME))?.try_into()?)
}
