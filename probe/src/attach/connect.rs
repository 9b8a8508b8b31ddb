//! Who opens a connection: `cgroup/connect4` and `connect6`.

use super::{Hook, HookError, Place};
use aya::Ebpf;
use aya::programs::{CgroupAttachMode, CgroupSockAddr};

/// See the module.
pub const HOOK: Hook = Hook {
    name: "connect",
    purpose: "names the process that opens a connection (cgroup/connect4 and connect6)",
    without: "clients that end before we look have no name",
    required: false,
    attach,
};

fn attach(ebpf: &mut Ebpf, place: &Place) -> Result<(), HookError> {
    for name in ["apisec_connect4", "apisec_connect6"] {
        let program: &mut CgroupSockAddr =
            ebpf.program_mut(name).ok_or(HookError::Missing(name))?.try_into()?;
        program.load()?;
        program.attach(&place.cgroup, CgroupAttachMode::Single)?;
    }
    Ok(())
}
