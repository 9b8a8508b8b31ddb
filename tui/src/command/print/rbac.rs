//! `print rbac`: what one has to be allowed to do in a cluster, as YAML.

use apisec_probe::kubernetes::rbac;
use apisec_probe::kubernetes::rights::Role;
use clap::{Args, ValueEnum};

/// Roles of `kubectl apisec`.
#[derive(Args, Debug)]
pub(super) struct Rbac {
    /// For looking, for specifications in ConfigMaps, for policies (these two need looking too), or all
    #[arg(long, value_name = "ROLE", default_value = "all")]
    role: Which,

    /// The namespace that agents are put into
    #[arg(long, value_name = "NAME", default_value = rbac::AGENTS, value_parser = crate::command::kube::name)]
    agent_namespace: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    Watch,
    Specifications,
    Enforce,
    All,
}

impl Rbac {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let roles: &[Role] = match self.role {
            Which::Watch => &[Role::Watch],
            Which::Specifications => &[Role::Specifications],
            Which::Enforce => &[Role::Enforce],
            Which::All => &Role::ALL,
        };
        out.extend_from_slice(rbac::roles(roles, &self.agent_namespace).as_bytes());
    }
}
