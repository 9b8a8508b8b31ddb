//! `print rbac`: what one has to be allowed to do in a cluster, as YAML.

use apisec_probe::kubernetes::rbac;
use apisec_probe::kubernetes::rights::Role;
use clap::{Args, ValueEnum};

/// Roles of `kubectl apisec`.
#[derive(Args, Debug)]
pub(super) struct Rbac {
    /// For looking only, for policies only (they need looking too), or both
    #[arg(long, value_name = "ROLE", default_value = "all")]
    role: Which,

    /// The namespace that agents are put into
    #[arg(long, value_name = "NAME", default_value = rbac::AGENTS, value_parser = crate::command::kube::name)]
    agent_namespace: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    Watch,
    Enforce,
    All,
}

impl Rbac {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let roles: &[Role] = match self.role {
            Which::Watch => &[Role::Watch],
            Which::Enforce => &[Role::Enforce],
            Which::All => &Role::ALL,
        };
        out.extend_from_slice(rbac::roles(roles, &self.agent_namespace).as_bytes());
    }
}
